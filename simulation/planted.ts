/**
 * Bugs that are put in on purpose, to see that the simulation finds them: each is one that a broker group could really have. They live
 * here alone, as wrong disks, wrong glue and overridden methods; nothing of Gantry knows of them.
 */
import { ClientRegistry } from '../broker/client-registry.ts'
import { ConsumerOffsets } from '../broker/consumer-offsets.ts'
import { LevelClock } from '../broker/delay/level-clock.ts'
import { PopReviver } from '../broker/pop/pop-reviver.ts'
import { PopState } from '../broker/pop/pop-state.ts'
import { QueueLocks } from '../broker/queue-locks.ts'
import { CommitLog } from '../store/commit-log.ts'
import { LightQueues } from '../store/light-queues.ts'
import { MessageStore } from '../store/message-store.ts'
import { SCHEDULE_TOPIC, TIMER_TOPIC } from '../broker/names.ts'
import type { MessageToStore } from '../common/message.ts'
import type { Replication } from '../store/types.ts'
import { RaftNode } from '../raft/node.ts'
import { votersOf } from '../raft/quorum.ts'
import { StateFile } from '../raft/state-file.ts'
import { RecordReader } from '../common/message-codec.ts'
import type { SimulatedDisk } from './disk.ts'
import type { Member } from './member.ts'
import type { Settings, WorkloadName } from './settings.ts'

export interface Plant {
  readonly name: string
  /** What is wrong, in a sentence. */
  readonly what: string
  /** What it is found by; absent: the stores alone. */
  readonly workload?: WorkloadName
  /** What the run needs for the bug to matter. */
  readonly settings?: Partial<Settings>
  readonly disk?: (disk: SimulatedDisk) => void
  readonly replication?: (inner: Replication, member: () => Member) => Replication
  /** After the store has opened. */
  readonly started?: (store: MessageStore) => void
  /** After the member has become the ready leader. */
  readonly ready?: (store: MessageStore) => void
  /** Overrides methods for the run; returns how to undo that. */
  readonly install?: () => () => void
}

const SYNC = { flushDiskType: 'SYNC_FLUSH' } as const

export const PLANTS: readonly Plant[] = [
  {
    name: 'nothing',
    what: 'no bug, under the faults that the others get: nothing may be found',
  },
  {
    name: 'ack-before-fsync',
    what: 'with SYNC_FLUSH a record counts as soon as it is written',
    settings: SYNC,
    replication: (inner) => ({
      ...inner,
      written: (endOffset) => {
        inner.written(endOffset)
        inner.persisted(endOffset)
      },
    }),
  },
  {
    name: 'vote-not-synced',
    what: 'term and vote are written and not synced',
    settings: SYNC,
    disk: (disk) => {
      disk.lies = (operation, path) => operation === 'datasync' && path.endsWith('/raft/state')
    },
  },
  {
    name: 'double-vote',
    what: 'a member forgets for whom it has voted in this term',
    settings: { latencyMs: 30 },
    install: () =>
      overriding(
        RaftNode.prototype,
        'setHardState',
        (original) =>
          function (this: RaftNode<unknown>, hardState) {
            original.call(this, hardState)
            this.hardState = { ...hardState, votedFor: null }
          },
      ),
  },
  {
    name: 'commit-old-term',
    what: 'a leader commits records of older terms by counting (Raft §5.4.2)',
    install: () =>
      overriding(
        RaftNode.prototype,
        'emit',
        (original) =>
          function (this: RaftNode<unknown>, effect) {
            if (effect.type === 'appendTermStart') this.termStartOffset = 0
            original.call(this, effect)
          },
      ),
  },
  {
    name: 'truncate-acknowledged',
    what: 'a start cuts the last record although it is whole',
    started: (store) => {
      const { endOffset, commitOffset } = store
      let last = -1
      for (let at = commitOffset; at < endOffset; at = store.batchEnd(at, 1)) last = at
      if (last !== -1) store.truncateTo(last)
    },
  },
  {
    name: 'queue-ahead-of-commit',
    what: 'a follower shows records before they are committed',
    started: (store) => {
      const appendBytes = store.appendBytes.bind(store)
      store.appendBytes = (bytes, checksum) => {
        const isAppended = appendBytes(bytes, checksum)
        if (isAppended) store.commitTo(store.endOffset)
        return isAppended
      }
    },
  },
  {
    name: 'offset-reuse',
    what: 'a new leader gives the last queue offset once more',
    ready: (store) => {
      for (const { topic, queueId } of store.queues()) {
        const queue = store.appendQueue(topic, queueId)
        if (queue.nextOffset > 0) queue.nextOffset--
      }
    },
  },
  {
    name: 'commit-unverified',
    what: 'a follower commits and acknowledges what it has not compared with the leader of the term',
    install: () =>
      overriding(
        RaftNode.prototype,
        'becomeFollower',
        (original) =>
          function (this: RaftNode<unknown>, term, leader) {
            original.call(this, term, leader)
            this.verifiedOffset = this.endOffset
          },
      ),
  },
  {
    name: 'stale-leader-ack',
    what: 'a leader acknowledges what it has written alone',
    replication: (inner, member) => ({
      ...inner,
      persisted: (offset) => {
        inner.persisted(offset)
        const { store, isReady } = member()
        if (isReady && store !== null && offset > store.commitOffset) store.commitTo(offset)
      },
    }),
  },
  {
    name: 'missing-directory-sync',
    what: 'the names of new segments are not synced',
    settings: { ...SYNC, segmentSize: 16 * 1024, bodyBytes: 900 },
    disk: (disk) => {
      disk.lies = (operation, path) => operation === 'syncDirectory' && path.includes('commitlog')
    },
  },
  {
    name: 'checksums-off',
    what: 'nobody looks at the checksums of records',
    install: () =>
      overriding(
        RecordReader.prototype,
        'read',
        (original) =>
          function (this: RecordReader, source, at, end) {
            return original.call(this, source, at, end, false)
          },
      ),
  },
  {
    name: 'follower-acks-before-fsync',
    what: 'a follower acknowledges with SYNC_FLUSH what it has not synced',
    install: () =>
      overriding(
        RaftNode.prototype,
        'send',
        (original) =>
          function (this: RaftNode<unknown>, to, message) {
            if (message.type !== 'appendResponse' || !message.isAccepted) {
              original.call(this, to, message)
              return
            }
            const offset = Math.min(this.verifiedOffset, this.endOffset)
            const termAtOffset = this.epochs.termBefore(offset)
            original.call(this, to, { ...message, offset, termAtOffset })
          },
      ),
    settings: { ...SYNC, syncMs: 60 },
  },
  {
    name: 'amnesiac-member',
    what: 'a member with an empty disk says that it is the one of before',
    install: () =>
      overriding(
        StateFile.prototype,
        'save',
        (original) =>
          function (this: StateFile, hardState, incarnation) {
            original.call(this, hardState, incarnation === undefined ? this.incarnation : 1)
          },
      ),
  },
  {
    name: 'replaced-at-once',
    what: 'a member with an empty disk counts as soon as it is taken in',
    install: () =>
      overriding(
        RaftNode.prototype,
        'emit',
        (original) =>
          function (this: RaftNode<unknown>, effect) {
            if (effect.type === 'appendConfiguration') {
              const members = effect.members.map((one) => ({ ...one, role: 'voter' as const }))
              original.call(this, { ...effect, members })
            } else {
              original.call(this, effect)
            }
          },
      ),
  },
  {
    name: 'former-voters',
    what: 'until a change of the members is committed, leaders count by those of before',
    settings: { changesMembers: true },
    install: () =>
      overridingGetter(RaftNode.prototype, 'voters', (node) => {
        const inForce = node.configurations.findLast(({ offset }) => offset < node.commitOffset)
        return votersOf(inForce ?? node.configuration)
      }),
  },
  {
    name: 'times-go-back',
    what: 'records get the time of the clock, also when that was set back',
    install: () =>
      overriding(
        CommitLog.prototype,
        'append',
        (original) =>
          function (this: CommitLog, draft, size, place) {
            original.call(this, draft, size, place)
            this.lastStoreTimestamp = 0
          },
      ),
  },
  {
    name: 'timer-early',
    what: 'messages of delay levels come a third of a second early',
    workload: 'broker',
    settings: { clocks: 'exact' },
    install: () =>
      overriding(
        LevelClock.prototype,
        'remaining',
        (original) =>
          function (this: LevelClock, queueOffset, dueTime) {
            return original.call(this, queueOffset, dueTime) - 350
          },
      ),
  },
  {
    name: 'revive-drop',
    what: 'every second message that is not acknowledged in time is forgotten',
    workload: 'pops',
    install: () =>
      overriding(
        PopReviver.prototype,
        'take',
        (original) =>
          function (this: PopReviver, due) {
            original.call(
              this,
              due.filter((_, index) => index % 2 === 1),
            )
          },
      ),
  },
  {
    name: 'send-back-unconfirmed',
    what: 'a message that is given back counts as soon as its copy is in the log of the leader',
    workload: 'retries',
    install: () =>
      hasty(({ topic, reconsumeTimes }) => topic === SCHEDULE_TOPIC && reconsumeTimes > 0),
  },
  {
    name: 'attempts-stand',
    what: 'a message that is given back a second time keeps the number of its attempt',
    workload: 'retries',
    install: () =>
      overriding(
        MessageStore.prototype,
        'put',
        (original) =>
          function (this: MessageStore, messages, wait, done) {
            const changed = messages.map((message) =>
              message.reconsumeTimes === 2 ? { ...message, reconsumeTimes: 1 } : message,
            )
            original.call(this, changed, wait, done)
          },
      ),
  },
  {
    name: 'recall-unconfirmed',
    what: 'a recall counts as soon as it is in the log of the leader',
    workload: 'recalls',
    install: () =>
      hasty(
        ({ topic, properties }) => topic === TIMER_TOPIC && properties.includes('_RECALL_TAG_'),
      ),
  },
  {
    name: 'order-in-memory',
    what: 'what is popped in order, and acknowledged, is known to the leader alone',
    workload: 'orderly',
    install: () =>
      overriding(
        PopState.prototype,
        'recordOrder',
        () =>
          function (_order, done) {
            done(true)
          },
      ),
  },
  {
    name: 'offsets-in-memory',
    what: 'leaders do not write the progress of groups into the log',
    workload: 'offsets',
    install: () =>
      overriding(
        ConsumerOffsets.prototype,
        'flush',
        () =>
          function () {
            return Promise.resolve()
          },
      ),
  },
  {
    name: 'resets-in-memory',
    what: 'offsets that an administrator sets are answered before they are in the log',
    workload: 'offsets',
    install: () =>
      overriding(
        ConsumerOffsets.prototype,
        'reset',
        (original) =>
          function (this: ConsumerOffsets, ...given) {
            original.apply(this, given).catch(() => undefined)
            return Promise.resolve()
          },
      ),
  },
  {
    name: 'locks-of-others',
    what: 'whoever gives a queue back frees it, also when another one has it',
    workload: 'locks',
    install: () =>
      overriding(
        QueueLocks.prototype,
        'unlock',
        () =>
          function (this: QueueLocks) {
            this.clear()
          },
      ),
  },
  {
    name: 'filter-passes-over',
    what: 'a pull that selects goes on one message too far',
    workload: 'filters',
    install: () =>
      overriding(
        MessageStore.prototype,
        'find',
        (original) =>
          function (this: MessageStore, request) {
            const found = original.call(this, request)
            const isSelected = request.filter !== null && found.nextBeginOffset < found.maxOffset
            return isSelected ? { ...found, nextBeginOffset: found.nextBeginOffset + 1 } : found
          },
      ),
  },
  {
    name: 'light-places-late',
    what: 'a place in a light queue is taken when its message is committed, and given again until then',
    workload: 'light',
    install: () =>
      overriding(
        LightQueues.prototype,
        'place',
        (original) =>
          function (this: LightQueues, messages) {
            const placed = original.call(this, messages)
            const isPlaced = placed !== null && !('status' in placed)
            return isPlaced ? placed.map((one) => ({ ...one, queues: [] })) : placed
          },
      ),
  },
  {
    name: 'batch-in-parts',
    what: 'the rest of a batch is stored once its first message is committed',
    workload: 'batches',
    install: () =>
      overriding(
        MessageStore.prototype,
        'put',
        (original) =>
          function (this: MessageStore, messages, wait, done) {
            if (messages.length < 2) {
              original.call(this, messages, wait, done)
              return
            }
            original.call(this, messages.slice(0, 1), wait, (first) => {
              if (first.status !== 'OK') {
                done(first)
                return
              }
              original.call(this, messages.slice(1), wait, ({ status, physicalOffsets }) => {
                const all = [...first.physicalOffsets, ...physicalOffsets]
                done({ ...first, status, physicalOffsets: all })
              })
            })
          },
      ),
  },
  {
    name: 'reply-to-another',
    what: 'replies go to whoever has asked last',
    workload: 'requests',
    install: () => {
      const last = new WeakMap<ClientRegistry, string>()
      const undo = overriding(
        ClientRegistry.prototype,
        'registerProducer',
        (original) =>
          function (this: ClientRegistry, group, client) {
            last.set(this, client.clientId)
            original.call(this, group, client)
          },
      )
      const undoToo = overriding(
        ClientRegistry.prototype,
        'connectionOfProducer',
        (original) =>
          function (this: ClientRegistry, clientId) {
            return original.call(this, last.get(this) ?? clientId)
          },
      )
      return () => {
        undo()
        undoToo()
      }
    },
  },
]

export function plantOf(name: string | null): Plant | null {
  return PLANTS.find((plant) => plant.name === name) ?? null
}

/** Messages of a kind are acknowledged before anybody has them. */
function hasty(isOfKind: (message: MessageToStore) => boolean): () => void {
  return overriding(
    MessageStore.prototype,
    'put',
    (original) =>
      function (this: MessageStore, messages, wait, done) {
        if (!messages.some(isOfKind)) {
          original.call(this, messages, wait, done)
          return
        }
        original.call(this, messages, wait, () => undefined)
        const nowhere = { physicalOffsets: [], queueOffset: 0, storeTimestamp: 0 }
        done({ status: 'OK', reason: null, ...nowhere })
      },
  )
}

function overridingGetter<Target extends object, Name extends string & keyof Target>(
  target: Target,
  name: Name,
  read: (instance: Target) => Target[Name],
): () => void {
  const descriptor = Object.getOwnPropertyDescriptor(target, name)
  if (descriptor === undefined) throw new RangeError(`${name} is a getter`)
  Object.defineProperty(target, name, {
    ...descriptor,
    get(this: Target) {
      return read(this)
    },
  })
  return () => {
    Object.defineProperty(target, name, descriptor)
  }
}

function overriding<Target extends object, Name extends keyof Target>(
  target: Target,
  name: Name,
  replace: (original: Target[Name]) => Target[Name],
): () => void {
  const original = target[name]
  target[name] = replace(original)
  return () => {
    target[name] = original
  }
}
