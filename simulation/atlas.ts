/**
 * What has been destroyed in a run, which keeps at least one good copy of everything committed: no group survives the loss of all its
 * disks. And why a process may have ended.
 */
import { readInt64 } from '../common/bytes.ts'
import { systemCodeOf } from '../common/errors.ts'
import { StoreError } from '../store/errors.ts'
import type { Checker } from './checker.ts'
import type { Engine } from './engine.ts'
import type { GroupChanges } from './group-changes.ts'
import type { Member } from './member.ts'

/** What may have happened to a disk: whoever exits because of it has a reason. */
export interface DiskState {
  /** The member has lost records that it may have acknowledged, until it holds everything below again. */
  lostUntil: number | null
  isRotten: boolean
  misdirectedMs: number | null
  hasFailed: boolean
  hasEverFailed: boolean
  isStalled: boolean
  isFull: boolean
}

export interface AtlasOptions {
  readonly engine: Engine
  readonly checker: Checker
  readonly members: readonly Member[]
  readonly changes: GroupChanges
}

/** Two voters need each other: neither may lose its disk. */
const VOTERS_MIN = 3
/** When the checkpoint has followed a write. */
const CHECKPOINT_MS = 2000

export class Atlas {
  readonly #options: AtlasOptions
  readonly #disks: Map<Member, DiskState>

  constructor(options: AtlasOptions) {
    this.#options = options
    this.#disks = new Map(options.members.map((member) => [member, goodDisk()]))
  }

  disk(member: Member): DiskState {
    const disk = this.#disks.get(member)
    if (disk === undefined) throw new RangeError('every member has a disk')
    return disk
  }

  /** The member has an empty disk now. */
  emptied(member: Member): void {
    this.#disks.set(member, { ...goodDisk(), lostUntil: this.#options.checker.endOffset })
  }

  /** Something of this disk may be lost: everybody else must have everything, and go on having it. */
  mayLose(member: Member): boolean {
    return !this.disk(member).isRotten && this.mayEmpty(member)
  }

  /** The whole disk may go. */
  mayEmpty(member: Member): boolean {
    const { changes } = this.#options
    if (!changes.belongs(member) || changes.isLeaving) return false
    return changes.belonging.length >= VOTERS_MIN && this.#othersAreWhole(member)
  }

  /** Nothing is lost anywhere, and nobody comes or goes. */
  get isWhole(): boolean {
    const { changes } = this.#options
    return !changes.isLeaving && changes.belonging.every((member) => this.#isWhole(member))
  }

  #othersAreWhole(member: Member): boolean {
    return this.#options.changes.belonging.every(
      (other) => other === member || this.#isWhole(other),
    )
  }

  /** Until the checkpoint has followed, a start takes a write that went astray for a torn tail. */
  hidesDamage(member: Member): boolean {
    const { misdirectedMs } = this.disk(member)
    if (misdirectedMs === null) return false
    const { engine } = this.#options
    return member.disk.isMisdirecting || engine.now < member.disk.strayedMs + CHECKPOINT_MS
  }

  othersHoldAll(member: Member | undefined): boolean {
    const { checker, changes } = this.#options
    if (changes.isLeaving) return false
    const end = checker.endOffset
    const holdsAll = (other: Member): boolean => (other.store?.commitOffset ?? -1) >= end
    const others = changes.belonging.filter((other) => other !== member)
    return others.every((other) => this.#isWhole(other) && holdsAll(other))
  }

  #isWhole(member: Member): boolean {
    const disk = this.disk(member)
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

  /** Why the process of a member has ended; null when nothing was done to it. */
  reasonFor(member: Member, error: unknown): string | null {
    const disk = this.disk(member)
    if (disk.isRotten && isCorrupt(error)) return 'rot'
    if (disk.hasEverFailed && systemCodeOf(causeOf(error)) === 'EIO') return 'disk error'
    if (disk.isFull && systemCodeOf(causeOf(error)) === 'ENOSPC') return 'disk full'
    if (error instanceof StoreError && error.code === 'diskStalled' && disk.isStalled)
      return 'stall'
    return null
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
export function syncedOffset(member: Member): number {
  const checkpoint = member.disk.durableFileSync('/store/checkpoint')
  return checkpoint === null || checkpoint.length < 32 ? 0 : readInt64(checkpoint, 24)
}

export function isCorrupt(error: unknown): boolean {
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
