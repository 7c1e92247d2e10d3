/**
 * Offsets that an administrator sets: once that is answered, every leader knows the new position, whatever the group's consumer commits
 * meanwhile, and sends its next pull there.
 */
import { pullFields } from '../remoting/pull-fields.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import type { RemotingCommand } from '../remoting/command.ts'
import type { BrokerClient } from './broker-client.ts'
import type { WorkloadOptions } from './workload.ts'

const RULE = 'what an administrator has set holds'
/** The queue has more messages soon. */
const POSITIONS = 3

/** A group with one consumer. */
interface Group {
  readonly name: string
  /** What an administrator was told to be set, and no pull has taken over yet. */
  pinned: number | null
}

export class ResetGroups {
  readonly #options: WorkloadOptions
  readonly #topic: string
  readonly #count: (what: string) => void
  /** By client; one of which nobody knows what became of a request is left behind. */
  readonly #groups = new Map<string, Group>()
  #sequence = 0

  constructor(options: WorkloadOptions, topic: string, count: (what: string) => void) {
    this.#options = options
    this.#topic = topic
    this.#count = count
  }

  async operate(client: BrokerClient): Promise<void> {
    client.followLeader()
    const group = this.#groups.get(client.id)
    if (group === undefined) return this.#begin(client)
    const { random } = this.#options
    if (group.pinned === null) return this.#reset(client, group)
    const kind = random.integer(4)
    if (kind === 0) return this.#pull(client, group, group.pinned)
    await (kind === 1 ? this.#commit(client, group) : this.#ask(client, group, group.pinned))
  }

  /** A pull makes the group. */
  async #begin(client: BrokerClient): Promise<void> {
    const group = { name: `Reset-${this.#sequence++}`, pinned: null }
    if ((await this.#askPull(client, group)) !== null) this.#groups.set(client.id, group)
  }

  async #reset(client: BrokerClient, group: Group): Promise<void> {
    const { random, engine } = this.#options
    const position = random.integer(POSITIONS)
    const answer = await client.ask({
      code: RequestCode.INVOKE_BROKER_TO_RESET_OFFSET,
      extFields: {
        ...this.#fields(group),
        ...{ group: group.name, isForce: 'true', timestamp: '0', offset: String(position) },
      },
    })
    if (answer?.code !== ResponseCode.SUCCESS) {
      this.#groups.delete(client.id)
      return
    }
    engine.note(`${client.id}: ${group.name} is set to ${position}`)
    group.pinned = position
    this.#count('resets')
  }

  /** Of a consumer that knows of nothing. */
  async #commit(client: BrokerClient, group: Group): Promise<void> {
    const commitOffset = String(this.#options.random.integer(POSITIONS * 2))
    await client.ask({
      code: RequestCode.UPDATE_CONSUMER_OFFSET,
      extFields: { ...this.#fields(group), commitOffset },
    })
  }

  async #ask(client: BrokerClient, group: Group, pinned: number): Promise<void> {
    const reign = this.#reignOf(client)
    const answer = await client.ask({
      code: RequestCode.QUERY_CONSUMER_OFFSET,
      extFields: { ...this.#fields(group), setZeroIfNotFound: 'false' },
    })
    if (answer === null || reign === null || this.#reignOf(client) !== reign) return
    const isFound = answer.code === ResponseCode.SUCCESS
    const found = isFound ? answer.extFields.get('offset') : 'nowhere'
    if (found === String(pinned)) return
    this.#options.engine.violate(RULE, `${group.name} is at ${found}, and was set to ${pinned}`)
  }

  async #pull(client: BrokerClient, group: Group, pinned: number): Promise<void> {
    // Who hears nothing does not know whether it has been taken over.
    this.#groups.delete(client.id)
    const reign = this.#reignOf(client)
    const answer = await this.#askPull(client, group)
    if (answer === null || reign === null || this.#reignOf(client) !== reign) return
    const next = answer.extFields.get('nextBeginOffset')
    const isMoved = answer.code === ResponseCode.PULL_OFFSET_MOVED && next === String(pinned)
    if (isMoved) this.#count('resetsTaken')
    else {
      const told = `code ${answer.code} and ${next}`
      this.#options.engine.violate(RULE, `a pull of ${group.name}, set to ${pinned}, got ${told}`)
    }
  }

  #askPull(client: BrokerClient, { name }: Group): Promise<RemotingCommand | null> {
    const queue = { consumerGroup: name, topic: this.#topic, queueId: 0 }
    return client.ask({
      code: RequestCode.PULL_MESSAGE,
      extFields: pullFields({ ...queue, queueOffset: POSITIONS, maxMessages: 1 }),
    })
  }

  #fields({ name }: Group): Readonly<Record<string, string>> {
    return { consumerGroup: name, topic: this.#topic, queueId: '0' }
  }

  /** Of the leader whom the client asks; null when nobody is sure that it leads. */
  #reignOf(client: BrokerClient): number | null {
    const { checker } = this.#options
    return checker.leader === client.host ? checker.reigns : null
  }
}
