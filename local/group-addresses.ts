/** The stable addresses of broker groups with several members: a relay for each, and somebody who watches who leads. */
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Timers } from '../common/ports.ts'
import { parseRaftFacts } from '../operator/admin-facts.ts'
import { valueAt } from '../operator/json.ts'
import { GROUP_LABEL, ROLE_LABEL } from '../operator/names.ts'
import type { KubeObject } from '../operator/ports.ts'
import { LeaderRelay } from './leader-relay.ts'
import type { RelayPorts, RelayTarget } from './leader-relay.ts'
import { LeaderWatch } from './leader-watch.ts'
import { httpGet } from './pod-process.ts'
import type { LocalPod } from './pods.ts'
import { portInUse } from './port-owner.ts'
import { relayPortsOf } from './ports.ts'

const RETRY_MS = 1_000
const VIP_DISTANCE = 2

export interface GroupAddressesOptions {
  readonly bindHost: string
  readonly portOffset: number
  readonly timers: Timers
  readonly logger: Logger
  readonly pods: () => readonly LocalPod[]
  readonly onChange: () => void
  /** A sentence: a port is taken by somebody else. */
  readonly onProblem: (sentence: string) => void
}

interface Address {
  readonly ports: RelayPorts
  readonly watch: LeaderWatch
  relay: LeaderRelay | null
}

export class GroupAddresses {
  readonly #options: GroupAddressesOptions
  readonly #addresses: Map<string, Address> = new Map()
  #isClosed = false

  constructor(options: GroupAddressesOptions) {
    this.#options = options
  }

  /** Makes an address for a group that has several members now; it stays for those who know it when the group has one again. */
  note(statefulSet: KubeObject): void {
    const { name, labels = {} } = statefulSet.metadata
    const replicas = valueAt(statefulSet.spec, 'replicas')
    const isReplicated = typeof replicas === 'number' && replicas > 1
    if (statefulSet.kind !== 'StatefulSet' || labels[ROLE_LABEL] !== 'broker') return
    if (!isReplicated || this.#addresses.has(name) || this.#isClosed) return
    const ports = relayPortsOf(Number(labels[GROUP_LABEL]), this.#options.portOffset)
    const watch = new LeaderWatch({
      timers: this.#options.timers,
      members: () => this.#membersOf(name).map((pod) => pod.name),
      ask: (member) => this.#ask(member),
      onLeader: (leader) => this.#lead(name, leader),
    })
    const address: Address = { ports, watch, relay: null }
    this.#addresses.set(name, address)
    void this.#open(name, address)
  }

  /** The process of a member came or went. */
  podChanged(pod: LocalPod): void {
    if (pod.group !== null) this.#addresses.get(pod.group)?.watch.hurry()
  }

  /** The port that clients of a group dial; null: it has one member, whose own port that is. */
  portOf(group: string): number | null {
    return this.#addresses.get(group)?.ports.remoting ?? null
  }

  leaderOf(group: string): string | null {
    return this.#addresses.get(group)?.watch.leader ?? null
  }

  get groups(): readonly string[] {
    return [...this.#addresses.keys()].sort()
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const { watch } of this.#addresses.values()) watch.close()
    const relays = [...this.#addresses.values()].flatMap(({ relay }) => relay ?? [])
    await Promise.all(relays.map((relay) => relay.close()))
  }

  async #open(name: string, address: Address): Promise<void> {
    const { bindHost, timers, logger, onProblem } = this.#options
    const { ports, watch } = address
    try {
      const relay = await LeaderRelay.listen({
        name,
        host: bindHost,
        ports,
        timers,
        logger,
        onLost: () => watch.hurry(),
      })
      if (this.#isClosed) {
        await relay.close()
        return
      }
      address.relay = relay
      this.#lead(name, watch.leader)
      watch.start()
    } catch (error) {
      const busy = await portInUse(bindHost, [ports.remoting, ports.vip])
      onProblem(`the address of ${name}: ${busy ?? messageOf(error)}`)
      timers.after(RETRY_MS, () => {
        if (!this.#isClosed) void this.#open(name, address)
      })
    }
  }

  #membersOf(group: string): readonly LocalPod[] {
    return this.#options
      .pods()
      .filter((pod) => pod.group === group && pod.state.phase === 'running')
  }

  async #ask(member: string): Promise<ReturnType<typeof parseRaftFacts>> {
    const pod = this.#options.pods().find(({ name }) => name === member)
    if (pod === undefined) return null
    const { status, body } = await httpGet(
      this.#options.bindHost,
      pod.ports.admin,
      '/admin/v1/raft',
    )
    if (status !== 200) return null
    try {
      return parseRaftFacts(JSON.parse(body))
    } catch {
      // An answer that was cut off: asked again in a moment.
      return null
    }
  }

  #lead(group: string, leader: string | null): void {
    const pod = this.#membersOf(group).find(({ name }) => name === leader)
    const target: RelayTarget | null =
      pod === undefined
        ? null
        : {
            name: pod.name,
            host: this.#options.bindHost,
            ports: { remoting: pod.ports.remoting, vip: pod.ports.remoting - VIP_DISTANCE },
          }
    this.#addresses.get(group)?.relay?.lead(target)
    this.#options.onChange()
  }
}
