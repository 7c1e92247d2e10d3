/**
 * The progress of consumer groups: an answered commit is in the log a second later, and before a hand-over; what is asked for afterwards,
 * of whichever leader, is never behind it, and never beyond what a consumer has told. What an administrator sets has its own rule.
 */
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { ResetGroups } from './reset-groups.ts'
import { PlainSends } from './sender.ts'
import type { BrokerClient } from './broker-client.ts'
import type { Feature } from './feature.ts'
import type { WorkloadOptions } from './workload.ts'

const TOPIC = 'Marks'
/** How often leaders write offsets into the log, by a clock that may go 3 % wrong. */
const WRITTEN_MS = 1000 * 1.04
/** What a leader that has just committed does next has begun by then. */
const MARGIN_MS = 100
const STEP_MAX = 5
/** It may die meanwhile. */
const HAND_OVER_MS = 6000

/** An answered commit of an offset. */
interface Mark {
  readonly queueOffset: number
  readonly answeredMs: number
  /** Whoever led, for the how manieth time anybody did. */
  readonly reign: number
  /** When a message was answered that was sent to the same leader after the log must have been told; null: none yet. */
  confirmedMs: number | null
}

/** A group with one consumer, which goes on as long as it has an answer each time: what has none may come to the broker later. */
interface Group {
  readonly name: string
  told: number
  /** Nothing behind this may be answered any more. */
  floor: number
  marks: Mark[]
}

export class OffsetFeature implements Feature {
  readonly topic: string = TOPIC
  readonly counts: Record<string, number> = {
    acknowledged: 0,
    marks: 0,
    asked: 0,
    handOvers: 0,
    lost: 0,
    resets: 0,
    resetsTaken: 0,
  }
  readonly #options: WorkloadOptions
  readonly #resets: ResetGroups
  readonly #groups = new Map<string, Group>()
  readonly #sends: PlainSends
  #sequence = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
    this.#sends = new PlainSends(options, { topic: TOPIC })
    this.#resets = new ResetGroups(options, TOPIC, (what) => this.#count(what))
  }

  async operate(client: BrokerClient): Promise<void> {
    const { random } = this.#options
    const kind = random.integer(27)
    if (kind >= 20) await this.#resets.operate(client)
    else if (kind < 8) await this.#commit(client)
    else if (kind < 14) await this.#send(client)
    else if (kind < 19) await this.#ask(client)
    else await this.#handOver(client)
  }

  committed(key: string): string | null {
    return this.#sends.committed(key)
  }

  missing(): string | null {
    return null
  }

  checkEnd(): void {
    // Every answer was looked at when it came.
  }

  async #commit(client: BrokerClient): Promise<void> {
    const { random, engine } = this.#options
    client.followLeader()
    const group = this.#groupOf(client)
    const queueOffset = group.told + 1 + random.integer(STEP_MAX)
    group.told = queueOffset
    const reign = this.#reignOf(client)
    const answer = await client.ask({
      code: RequestCode.UPDATE_CONSUMER_OFFSET,
      extFields: {
        consumerGroup: group.name,
        topic: TOPIC,
        queueId: '0',
        commitOffset: String(queueOffset),
      },
    })
    if (answer?.code !== ResponseCode.SUCCESS) {
      this.#groups.delete(client.id)
      return
    }
    this.#count('marks')
    engine.note(`${client.id}: ${group.name} is at ${queueOffset}, in reign ${reign}`)
    if (reign === null || this.#reignOf(client) !== reign) return
    group.marks = group.marks.filter((mark) => mark.reign === reign)
    group.marks.push({ queueOffset, answeredMs: engine.now, reign, confirmedMs: null })
  }

  /** A message that is answered tells that all is committed which its leader has put into the log before. */
  async #send(client: BrokerClient): Promise<void> {
    const { engine } = this.#options
    client.followLeader()
    const reign = this.#reignOf(client)
    const invokedMs = engine.now
    const answer = await this.#sends.send(client)
    if (answer === null) return
    this.#count('acknowledged')
    if (reign === null || this.#reignOf(client) !== reign) return
    for (const group of this.#groups.values()) this.#confirm(group, reign, invokedMs)
  }

  /** One message is behind the record that may have been under way when the second was over, the next one behind that which followed. */
  #confirm(group: Group, reign: number, invokedMs: number): void {
    const { engine } = this.#options
    group.marks = group.marks.filter((mark) => {
      if (mark.reign !== reign) return true
      if (mark.confirmedMs === null) {
        if (invokedMs >= mark.answeredMs + WRITTEN_MS) mark.confirmedMs = engine.now
        return true
      }
      if (invokedMs < mark.confirmedMs + MARGIN_MS) return true
      group.floor = Math.max(group.floor, mark.queueOffset)
      return false
    })
  }

  async #ask(client: BrokerClient): Promise<void> {
    const { engine } = this.#options
    client.followLeader()
    const group = this.#groupOf(client)
    const { floor } = group
    const reign = this.#reignOf(client)
    const last = group.marks.at(-1)
    const answer = await client.ask({
      code: RequestCode.QUERY_CONSUMER_OFFSET,
      extFields: {
        consumerGroup: group.name,
        topic: TOPIC,
        queueId: '0',
        setZeroIfNotFound: 'false',
      },
    })
    if (answer === null) return
    this.#count('asked')
    const isFound = answer.code === ResponseCode.SUCCESS
    const queueOffset = isFound ? Number(answer.extFields.get('offset')) : 0
    const fact = `${group.name} is at ${queueOffset}`
    engine.note(`${client.id}: ${fact}, ${floor} to ${group.told} is right`)
    if (queueOffset > group.told) {
      const rule = 'groups have the progress that their consumers told'
      engine.violate(rule, `${fact}, where ${group.told} was the most`)
    }
    // A former leader does not know.
    if (reign === null || this.#reignOf(client) !== reign) return
    if (queueOffset < floor) {
      const rule = 'progress that is in the log is never lost'
      engine.violate(rule, `${fact}, after ${floor} was committed`)
    }
    if (last === undefined || queueOffset >= last.queueOffset) return
    this.#count('lost')
    if (last.reign !== reign) return
    const rule = 'a leader knows what it was told'
    engine.violate(rule, `${fact}, and was at ${last.queueOffset} for the same leader`)
  }

  /** As an administrator or a pod that stops: everything that was answered before goes along. */
  async #handOver(client: BrokerClient): Promise<void> {
    const { members, checker } = this.#options
    const leader = members.find(({ isReady }) => isReady)
    if (leader === undefined || leader.host !== checker.leader) return
    const { reigns } = checker
    const before = [...this.#groups.values()].flatMap((group) =>
      group.marks.filter(({ reign }) => reign === reigns).map((mark) => ({ group, mark })),
    )
    // A log on a full disk takes no offsets either.
    const isRoomy = (): boolean => leader.disk.foreignBytes === 0
    const hadRoom = isRoomy()
    const gaveUp = client.sleep(HAND_OVER_MS).then(() => false)
    const hasBegun = await Promise.race([leader.handOver(), gaveUp])
    if (!hasBegun || !hadRoom || !isRoomy()) return
    this.#count('handOvers')
    for (const { group, mark } of before) group.floor = Math.max(group.floor, mark.queueOffset)
  }

  /** Of the leader whom the client asks; null when nobody is sure that it leads. */
  #reignOf(client: BrokerClient): number | null {
    const { checker } = this.#options
    return checker.leader === client.host ? checker.reigns : null
  }

  #groupOf(client: BrokerClient): Group {
    let group = this.#groups.get(client.id)
    if (group === undefined) {
      const name = `Group-${this.#sequence++}`
      this.#groups.set(client.id, (group = { name, told: 0, floor: 0, marks: [] }))
    }
    return group
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}
