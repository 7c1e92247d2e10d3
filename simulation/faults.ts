/**
 * What goes wrong in a run, drawn from the seed; and the atlas of what has been destroyed, which keeps at least one good copy of
 * everything committed: no group survives the loss of all its disks.
 */
import { StoreError } from '../store/errors.ts'
import { readInt64 } from '../common/bytes.ts'
import { systemCodeOf } from '../common/errors.ts'
import type { Checker } from './checker.ts'
import type { Engine } from './engine.ts'
import type { Member } from './member.ts'
import type { SimulatedNetwork } from './network.ts'
import type { SeededRandom } from './random.ts'
import type { Settings } from './settings.ts'

export interface FaultsOptions {
  readonly engine: Engine
  readonly settings: Settings
  readonly checker: Checker
  readonly random: SeededRandom
  readonly members: readonly Member[]
  readonly network: SimulatedNetwork
}

/** What may have happened to a disk: whoever exits because of it has a reason. */
interface DiskState {
  /** The member has lost records that it may have acknowledged, until it holds everything below again. */
  lostUntil: number | null
  isRotten: boolean
  misdirectedMs: number | null
  hasFailed: boolean
  hasEverFailed: boolean
  isStalled: boolean
  isFull: boolean
}

type Fault = (faults: Faults) => void

/** Each as often as it is named. */
const FAULTS: readonly Fault[] = [
  (faults) => faults.kill(faults.anyone()),
  (faults) => faults.kill(faults.anyone()),
  (faults) => faults.kill(faults.leader()),
  (faults) => faults.kill(faults.leader()),
  (faults) => faults.killAll(),
  (faults) => faults.cutPower([faults.anyone()]),
  (faults) => faults.cutPower([faults.leader()]),
  (faults) => faults.cutPower(faults.everyone()),
  (faults) => faults.freeze(faults.anyone()),
  (faults) => faults.freeze(faults.leader()),
  (faults) => faults.isolate(faults.leader(), 'both'),
  (faults) => faults.isolate(faults.anyone(), 'both'),
  (faults) => faults.isolate(faults.leader(), 'in'),
  (faults) => faults.isolate(faults.leader(), 'out'),
  (faults) => faults.cutSomeLinks(),
  (faults) => faults.cutSomeLinks(),
  (faults) => faults.slowLinks(),
  (faults) => faults.breakConnections(),
  (faults) => faults.jumpClock(faults.anyone()),
  (faults) => faults.stallDisk(faults.anyone()),
  (faults) => faults.stallDisk(faults.leader()),
  (faults) => faults.failDisk(faults.anyone()),
  (faults) => faults.fillDisk(faults.anyone()),
  (faults) => faults.rot(faults.anyone()),
  (faults) => faults.misdirect(faults.anyone()),
  (faults) => faults.wipe(faults.anyone()),
  (faults) => faults.transfer(),
]

export class Faults {
  readonly #options: FaultsOptions
  readonly #disks: Map<Member, DiskState>
  #isOn = false
  /** How often each fault has happened. */
  readonly counts: Record<string, number> = {}

  constructor(options: FaultsOptions) {
    this.#options = options
    this.#disks = new Map(options.members.map((member) => [member, goodDisk()]))
  }

  start(): void {
    this.#isOn = true
    this.#next()
  }

  /** Ends all faults, and starts whoever is down. Disks with rot in them are replaced, one by one. */
  heal(): void {
    this.#isOn = false
    this.#options.network.healAll()
    for (const member of this.#options.members) {
      this.#repair(member)
      if (member.process.isFrozen) member.process.thaw()
      if (!member.isUp) member.start()
    }
  }

  /** Replaces the next disk that has rot in it; false when there is none. */
  replaceRotten(): boolean {
    for (const member of this.#options.members) {
      if (!this.#disk(member).isRotten) continue
      if (!this.#othersAreWhole(member)) return true
      this.#empty(member)
      member.start()
      return true
    }
    return false
  }

  isRotten(member: Member): boolean {
    return this.#disk(member).isRotten
  }

  /** A process has ended by itself: it may have had a reason, and is started again. */
  exited(member: Member, error: unknown): void {
    const { engine } = this.#options
    const disk = this.#disk(member)
    const reason = this.#reasonFor(disk, error)
    if (reason === null) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      engine.violate('processes end for a reason', `${member.host}: ${text}`)
      return
    }
    this.#count(`exit: ${reason}`)
    if (disk.isRotten && isCorrupt(error)) this.#replaceLater(member)
    else {
      if (disk.hasFailed) disk.hasFailed = false
      this.#startLater(member)
    }
  }

  anyone(): Member {
    const { members, random } = this.#options
    const member = members[random.integer(members.length)]
    if (member === undefined) throw new RangeError('a group has members')
    return member
  }

  leader(): Member {
    return this.#options.members.find(({ isReady }) => isReady) ?? this.anyone()
  }

  everyone(): readonly Member[] {
    return this.#options.members
  }

  kill(member: Member): void {
    if (!member.isUp || this.#hidesDamage(member)) return
    this.#count('kill')
    this.#say(`kill n${member.id}`)
    member.kill()
    this.#startLater(member)
  }

  killAll(): void {
    for (const member of this.#options.members) this.kill(member)
  }

  /** With ASYNC_FLUSH what a machine loses with its power is lost for good: one at a time, when all others have everything. */
  cutPower(members: readonly Member[]): void {
    const { settings, checker } = this.#options
    const isAsync = settings.flushDiskType === 'ASYNC_FLUSH'
    if (isAsync && (members.length > 1 || !this.#othersHoldAll(members[0]))) return
    for (const member of members) {
      // Behind damage that nobody knows of, what was on disk cannot be told from what was not.
      if (!member.isUp || this.#disk(member).isRotten) continue
      this.#count('power cut')
      this.#say(`power cut n${member.id}`)
      member.cutPower()
      if (isAsync) this.#disk(member).lostUntil = checker.endOffset
      this.#startLater(member)
    }
  }

  freeze(member: Member): void {
    if (!member.isUp || member.process.isFrozen) return
    this.#count('freeze')
    const { process } = member
    process.freeze()
    this.#later(this.#duration(10_000), `thaw n${member.id}`, () => {
      if (process.isFrozen) process.thaw()
    })
  }

  isolate(member: Member, direction: 'both' | 'in' | 'out'): void {
    this.#count(`isolate ${direction}`)
    const links: (readonly [string, string])[] = []
    for (const { host } of this.#options.members) {
      if (host === member.host) continue
      if (direction !== 'in') links.push([member.host, host])
      if (direction !== 'out') links.push([host, member.host])
    }
    this.#cut(links)
  }

  cutSomeLinks(): void {
    this.#count('cut links')
    const { members, random } = this.#options
    const links: (readonly [string, string])[] = []
    for (const { host: from } of members) {
      for (const { host: to } of members) {
        if (from !== to && random.integer(3) === 0) links.push([from, to])
      }
    }
    this.#cut(links)
  }

  slowLinks(): void {
    this.#count('slow links')
    const { members, random, network } = this.#options
    const byMs = random.integer(400)
    for (const { host: from } of members) {
      for (const { host: to } of members) {
        if (from === to || random.integer(2) === 0) continue
        network.slow(from, to, byMs)
        this.#later(this.#duration(10_000), `fast ${from}>${to}`, () => network.slow(from, to, 0))
      }
    }
  }

  breakConnections(): void {
    this.#count('connections broken')
    const { network, random } = this.#options
    network.breakConnections(1 + random.integer(4))
  }

  jumpClock(member: Member): void {
    const { random, settings } = this.#options
    if (settings.clocks !== 'set') return
    this.#count('clock jump')
    const jumps = [-3_600_000, 3_600_000, -1000, 1000, 86_400_000]
    member.process.wallJumpMs += jumps[random.integer(jumps.length)] ?? 0
  }

  stallDisk(member: Member): void {
    const disk = this.#disk(member)
    if (disk.isStalled) return
    this.#count('disk stall')
    disk.isStalled = true
    const { disk: stalled } = member
    stalled.holdSyncs()
    this.#later(this.#duration(25_000), `disk n${member.id} goes on`, () => {
      stalled.releaseSyncs()
      disk.isStalled = false
    })
  }

  /** One of the next operations fails, and the process with it. What a failed sync gave up is lost when the machine is. */
  failDisk(member: Member): void {
    const { random } = this.#options
    if (!member.isUp || !this.#mayLose(member)) return
    this.#count('disk error')
    this.#disk(member).hasFailed = true
    this.#disk(member).hasEverFailed = true
    const kinds = ['write', 'datasync', 'any'] as const
    member.disk.failOn(kinds[random.integer(kinds.length)] ?? 'any', 1 + random.integer(20), 'EIO')
  }

  fillDisk(member: Member): void {
    const disk = this.#disk(member)
    if (disk.isFull) return
    this.#count('disk full')
    disk.isFull = true
    const { disk: full } = member
    full.foreignBytes = full.totalBytes
    this.#later(this.#duration(8000), `room on n${member.id}`, () => {
      full.foreignBytes = 0
      disk.isFull = false
    })
  }

  /** A bit of a committed record flips on one disk. */
  rot(member: Member): void {
    const { checker, random } = this.#options
    if (!this.#mayLose(member) || checker.records.length === 0) return
    const record = checker.records[random.integer(checker.records.length)]
    // Above, nobody can tell it from a write that a power cut has torn.
    if (record === undefined || record.endOffset > syncedOffset(member)) return
    const { segmentSize } = this.#options.settings
    const at = record.physicalOffset + random.integer(record.bytes.length)
    const segment = at - (at % segmentSize)
    const path = `/store/commitlog/${String(segment).padStart(20, '0')}`
    if ((member.disk.statusSync(path)?.size ?? 0) <= at % segmentSize) return
    this.#count('bit rot')
    this.#say(`rot n${member.id} at ${at}`)
    this.#disk(member).isRotten = true
    member.disk.corrupt(path, at % segmentSize, 1 << random.integer(8))
  }

  misdirect(member: Member): void {
    const { random, settings } = this.#options
    // With ASYNC_FLUSH the checkpoint follows after many seconds only.
    const isAsync = settings.flushDiskType === 'ASYNC_FLUSH'
    if (isAsync || !member.isUp || !this.#mayLose(member)) return
    this.#count('misdirected write')
    this.#disk(member).isRotten = true
    this.#disk(member).misdirectedMs = this.#options.engine.now
    member.disk.misdirectNextWrite('/commitlog/', 512 * (1 + random.integer(16)))
  }

  wipe(member: Member): void {
    if (!this.#othersAreWhole(member)) return
    this.#count('wipe')
    this.#empty(member)
    this.#startLater(member)
  }

  transfer(): void {
    const leader = this.leader()
    if (leader.driver === null || leader.process.isFrozen) return
    this.#count('transfer')
    void leader.handOver()
  }

  #next(): void {
    const { engine, settings, random } = this.#options
    const wait = -Math.log(1 - random.next()) * settings.faultEveryMs
    engine.schedule(wait, null, 'fault', () => {
      if (!this.#isOn) return
      FAULTS[random.integer(FAULTS.length)]?.(this)
      this.#next()
    })
  }

  /** Something of this disk may be lost: everybody else must have everything, and go on having it. */
  #mayLose(member: Member): boolean {
    return !this.#disk(member).isRotten && this.#othersAreWhole(member)
  }

  #othersAreWhole(member: Member): boolean {
    return this.#options.members.every((other) => other === member || this.#isWhole(other))
  }

  /** Until the checkpoint has followed, a start takes a write that went astray for a torn tail. */
  #hidesDamage(member: Member): boolean {
    const { misdirectedMs } = this.#disk(member)
    if (misdirectedMs === null) return false
    return member.disk.isMisdirecting || this.#options.engine.now < member.disk.strayedMs + 2000
  }

  #othersHoldAll(member: Member | undefined): boolean {
    const end = this.#options.checker.endOffset
    const holdsAll = (other: Member): boolean => (other.store?.commitOffset ?? -1) >= end
    const others = this.#options.members.filter((other) => other !== member)
    return others.every((other) => this.#isWhole(other) && holdsAll(other))
  }

  #isWhole(member: Member): boolean {
    const disk = this.#disk(member)
    if (disk.isRotten || disk.hasFailed) return false
    if (disk.lostUntil === null) return true
    const raft = member.driver?.raft ?? null
    if (raft === null || member.store === null) return false
    const isVoter = raft.configuration.members.some(
      ({ id, role, incarnation }) =>
        id === member.id && role === 'voter' && incarnation === member.driver?.incarnation,
    )
    if (!isVoter || member.store.status().flushedOffset < disk.lostUntil) return false
    if (raft.commitOffset < disk.lostUntil) return false
    disk.lostUntil = null
    return true
  }

  #empty(member: Member): void {
    this.#say(`wipe n${member.id}`)
    member.wipe()
    this.#disks.set(member, { ...goodDisk(), lostUntil: this.#options.checker.endOffset })
  }

  #replaceLater(member: Member): void {
    this.#later(this.#duration(4000), `replace n${member.id}`, () => {
      if (member.isUp) return
      if (!this.#othersAreWhole(member)) this.#replaceLater(member)
      else {
        this.#count('replaced')
        this.#empty(member)
        member.start()
      }
    })
  }

  #startLater(member: Member): void {
    this.#later(this.#duration(4000), `start n${member.id}`, () => {
      if (!member.isUp) member.start()
    })
  }

  #repair(member: Member): void {
    const disk = this.#disk(member)
    member.disk.releaseSyncs()
    member.disk.foreignBytes = 0
    member.disk.forgetFaults()
    disk.isStalled = false
    disk.isFull = false
    disk.hasFailed = false
  }

  #reasonFor(disk: DiskState, error: unknown): string | null {
    if (disk.isRotten && isCorrupt(error)) return 'rot'
    if (disk.hasEverFailed && systemCodeOf(causeOf(error)) === 'EIO') return 'disk error'
    if (disk.isFull && systemCodeOf(causeOf(error)) === 'ENOSPC') return 'disk full'
    if (error instanceof StoreError && error.code === 'diskStalled' && disk.isStalled)
      return 'stall'
    return null
  }

  #cut(links: readonly (readonly [string, string])[]): void {
    const { network } = this.#options
    for (const [from, to] of links) network.cut(from, to)
    this.#say(`cut ${links.map(([from, to]) => `${from}>${to}`).join(' ')}`)
    this.#later(this.#duration(10_000), 'links heal', () => {
      for (const [from, to] of links) network.heal(from, to)
    })
  }

  #duration(maxMs: number): number {
    const { random } = this.#options
    return 50 + random.next() ** 2 * maxMs
  }

  #later(delayMs: number, label: string, run: () => void): void {
    this.#options.engine.schedule(delayMs, null, label, run)
  }

  #disk(member: Member): DiskState {
    const disk = this.#disks.get(member)
    if (disk === undefined) throw new RangeError('every member has a disk')
    return disk
  }

  #count(fault: string): void {
    this.counts[fault] = (this.counts[fault] ?? 0) + 1
    this.#say(fault)
  }

  #say(line: string): void {
    this.#options.engine.note(`FAULT ${line}`)
  }
}

function goodDisk(): DiskState {
  return {
    lostUntil: null,
    isRotten: false,
    misdirectedMs: null,
    hasFailed: false,
    hasEverFailed: false,
    isStalled: false,
    isFull: false,
  }
}

/** Below, the checkpoint on disk says that everything was synced. */
function syncedOffset(member: Member): number {
  const checkpoint = member.disk.durableFileSync('/store/checkpoint')
  return checkpoint === null || checkpoint.length < 32 ? 0 : readInt64(checkpoint, 24)
}

function isCorrupt(error: unknown): boolean {
  return (
    error instanceof StoreError && (error.code === 'corrupt' || error.code === 'derivedCorrupt')
  )
}

/** The innermost cause. */
function causeOf(error: unknown): unknown {
  let cause = error
  while (cause instanceof Error && cause.cause !== undefined && cause.cause !== null) {
    cause = cause.cause
  }
  return cause
}
