/** What goes wrong in a run, drawn from the seed, within what the atlas says that a group can survive. */
import { Atlas, isCorrupt, syncedOffset } from './atlas.ts'
import { GroupChanges } from './group-changes.ts'
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
  /** So many of the members found the group. */
  readonly founders: number
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
/** Where members come and go. */
const CHANGES: readonly Fault[] = [
  (faults) => faults.remove(faults.anyone()),
  (faults) => faults.remove(faults.anyone()),
  (faults) => faults.remove(faults.leader()),
  (faults) => faults.remove(faults.leader()),
  (faults) => faults.add(),
  (faults) => faults.add(),
  (faults) => faults.add(),
  (faults) => faults.add(),
]
/** Clocks that are set by steps are within this of what they were at first. */
const STEP_MS = 1000
/** Two voters need each other. */
const VOTERS_MIN = 3

export class Faults {
  readonly #options: FaultsOptions
  readonly #kinds: readonly Fault[]
  readonly #atlas: Atlas
  readonly changes: GroupChanges
  #isOn = false
  /** How often each fault has happened. */
  readonly counts: Record<string, number> = {}

  constructor(options: FaultsOptions) {
    this.#options = options
    this.#kinds = options.settings.changesMembers ? [...FAULTS, ...CHANGES] : FAULTS
    const durationMs = (maxMs: number): number => this.#duration(maxMs)
    this.changes = new GroupChanges({ ...options, durationMs })
    this.#atlas = new Atlas({ ...options, changes: this.changes })
  }

  start(): void {
    this.#isOn = true
    this.#next()
  }

  /** Ends all faults, and starts whoever is down. Disks with rot in them are replaced, one by one. */
  heal(): void {
    this.#isOn = false
    this.#options.network.healAll()
    this.changes.clear()
    for (const member of this.#options.members) {
      this.#repair(member)
      if (member.process.isFrozen) member.process.thaw()
      this.#start(member)
    }
  }

  /** Replaces the next disk that has rot in it; false when there is none. */
  replaceRotten(): boolean {
    for (const member of this.#options.members) {
      if (!this.isRotten(member)) continue
      if (!this.#atlas.mayEmpty(member)) return true
      this.#empty(member)
      this.#start(member)
      return true
    }
    return false
  }

  isRotten(member: Member): boolean {
    return this.#atlas.disk(member).isRotten
  }

  /** A consumer was given a record that is damaged. */
  damageSeen(): void {
    const member = this.#options.members.find((one) => this.isRotten(one))
    if (member === undefined) {
      this.#options.engine.violate('consumers see what is committed', 'a damaged record')
    } else if (member.isUp && !this.#atlas.hidesDamage(member)) {
      this.#count('rot seen by a consumer')
      member.kill()
      this.#replaceLater(member)
    }
  }

  /** A process has ended by itself: it may have had a reason, and is started again. */
  exited(member: Member, error: unknown): void {
    const { engine } = this.#options
    const disk = this.#atlas.disk(member)
    const reason = this.#atlas.reasonFor(member, error)
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
    if (!member.isUp || this.#atlas.hidesDamage(member)) return
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
    if (isAsync && (members.length > 1 || !this.#atlas.othersHoldAll(members[0]))) return
    for (const member of members) {
      // Behind damage that nobody knows of, what was on disk cannot be told from what was not.
      if (!member.isUp || this.#atlas.disk(member).isRotten) continue
      this.#count('power cut')
      this.#say(`power cut n${member.id}`)
      member.cutPower()
      if (isAsync) this.#atlas.disk(member).lostUntil = checker.endOffset
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
    const { process } = member
    if (settings.clocks === 'stepped') {
      this.#count('clock step')
      const to = process.wallJumpMs + random.integer(2 * STEP_MS + 1) - STEP_MS
      process.wallJumpMs = Math.max(-STEP_MS, Math.min(STEP_MS, to))
    } else if (settings.clocks === 'set') {
      this.#count('clock jump')
      const jumps = [-3_600_000, 3_600_000, -1000, 1000, 86_400_000]
      process.wallJumpMs += jumps[random.integer(jumps.length)] ?? 0
    }
  }

  stallDisk(member: Member): void {
    const disk = this.#atlas.disk(member)
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
    if (!member.isUp || !this.#atlas.mayLose(member)) return
    this.#count('disk error')
    this.#atlas.disk(member).hasFailed = true
    this.#atlas.disk(member).hasEverFailed = true
    const kinds = ['write', 'datasync', 'any'] as const
    member.disk.failOn(kinds[random.integer(kinds.length)] ?? 'any', 1 + random.integer(20), 'EIO')
  }

  fillDisk(member: Member): void {
    const disk = this.#atlas.disk(member)
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
    if (!this.#atlas.mayLose(member) || checker.records.length === 0) return
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
    this.#atlas.disk(member).isRotten = true
    member.disk.corrupt(path, at % segmentSize, 1 << random.integer(8))
  }

  misdirect(member: Member): void {
    const { random, settings } = this.#options
    // With ASYNC_FLUSH the checkpoint follows after many seconds only.
    const isAsync = settings.flushDiskType === 'ASYNC_FLUSH'
    if (isAsync || !member.isUp || !this.#atlas.mayLose(member)) return
    this.#count('misdirected write')
    this.#atlas.disk(member).isRotten = true
    this.#atlas.disk(member).misdirectedMs = this.#options.engine.now
    member.disk.misdirectNextWrite('/commitlog/', 512 * (1 + random.integer(16)))
  }

  wipe(member: Member): void {
    if (!this.#atlas.mayEmpty(member)) return
    this.#count('wipe')
    this.#empty(member)
    this.#startLater(member)
  }

  /** Out of a group that is whole: those that stay then hold everything. */
  remove(member: Member): void {
    const { changes } = this
    if (!changes.belongs(member) || changes.belonging.length < VOTERS_MIN) return
    if (!this.#atlas.isWhole) return
    this.#count('member removed')
    this.#say(`remove n${member.id}`)
    changes.remove(member)
  }

  add(): void {
    const { away } = this.changes
    const member = away[this.#options.random.integer(Math.max(1, away.length))]
    if (member === undefined) return
    this.#count('member added')
    this.changes.add(member)
    this.#empty(member)
    this.#start(member)
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
      this.#kinds[random.integer(this.#kinds.length)]?.(this)
      this.#next()
    })
  }

  #empty(member: Member): void {
    this.#say(`wipe n${member.id}`)
    member.wipe()
    this.#atlas.emptied(member)
  }

  #replaceLater(member: Member): void {
    this.#later(this.#duration(4000), `replace n${member.id}`, () => {
      if (member.isUp || !this.isRotten(member)) return
      if (!this.#atlas.mayEmpty(member)) this.#replaceLater(member)
      else {
        this.#count('replaced')
        this.#empty(member)
        this.#start(member)
      }
    })
  }

  #startLater(member: Member): void {
    this.#later(this.#duration(4000), `start n${member.id}`, () => this.#start(member))
  }

  #start(member: Member): void {
    if (!member.isUp && this.changes.mayRun(member)) member.start()
  }

  #repair(member: Member): void {
    const disk = this.#atlas.disk(member)
    member.disk.releaseSyncs()
    member.disk.foreignBytes = 0
    member.disk.forgetFaults()
    disk.isStalled = false
    disk.isFull = false
    disk.hasFailed = false
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

  #count(fault: string): void {
    this.counts[fault] = (this.counts[fault] ?? 0) + 1
    this.#say(fault)
  }

  #say(line: string): void {
    this.#options.engine.note(`FAULT ${line}`)
  }
}
