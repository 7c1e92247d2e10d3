/** A broker group of three real processes, each in a network namespace and a folder of its own, and their name server. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { at, listAt, numberAt, textAt } from '../json.ts'
import { ServerProcess } from '../server-process.ts'
import type { MemberNetwork } from './member-network.ts'
import { journalEnvironment, losePower } from './power-loss.ts'
import type { PowerLoss } from './power-loss.ts'

export const MEMBERS = 3
const PORT = 10_911
const RAFT_PORT = 40_911
const ADMIN_PORT = 5557
const NAMESRV_PORT = 9876
const POLL_MS = 50
const FACTS_TIMEOUT_MS = 2_000

export interface GroupOptions {
  readonly network: MemberNetwork
  readonly folder: string
  /** Keys of broker.conf. */
  readonly config: Readonly<Record<string, string | number | boolean>>
  /** Where a member's data lies; a folder below `folder` unless given. */
  readonly dataOf?: (member: number) => string
  /** The library of `power-loss.ts`, when power is to be cut. */
  readonly journal?: string
}

export class ChaosGroup {
  readonly #options: GroupOptions
  readonly #members: ServerProcess[] = []
  #namesrv: ServerProcess | null = null

  private constructor(options: GroupOptions) {
    this.#options = options
  }

  /** Resolves when the group leads. */
  static async start(options: GroupOptions): Promise<ChaosGroup> {
    const group = new ChaosGroup(options)
    try {
      await group.#start()
    } catch (error) {
      await group.destroy()
      throw error
    }
    return group
  }

  get nameServer(): string {
    return `${this.#options.network.outside}:${NAMESRV_PORT}`
  }

  /** Starts a member on its data as they are. `env` is added to its environment. */
  startMember(member: number, env: Readonly<Record<string, string>> = {}): void {
    const { network, folder, config, journal } = this.#options
    const data = this.dataOf(member)
    mkdirSync(data, { recursive: true })
    const noted =
      journal === undefined ? {} : journalEnvironment(journal, this.#journalOf(member), data)
    const peers = Array.from(
      { length: MEMBERS },
      (_, peer) => `n${peer}-${network.addressOf(peer)}:${RAFT_PORT}`,
    )
    this.#members[member] = ServerProcess.start({
      kind: 'gantry',
      role: 'broker',
      folder: join(folder, `member-${member}`),
      host: network.addressOf(member),
      prefix: network.prefixOf(member),
      env: { ...noted, ...env },
      config: {
        brokerName: 'broker-a',
        brokerIP1: network.addressOf(member),
        listenPort: PORT,
        namesrvAddr: this.nameServer,
        storePathRootDir: join(data, 'store'),
        storePathCommitLog: join(data, 'store', 'commitlog'),
        metricsPromExporterPort: ADMIN_PORT,
        // Loads, and who checks what they have sent, are outside of the members' network namespaces.
        allowUnauthenticatedAdmin: true,
        enableDLegerCommitLog: true,
        dLegerGroup: 'broker-a',
        dLegerPeers: peers.join(';'),
        dLegerSelfId: `n${member}`,
        mappedFileSizeCommitLog: 64 * 1024 * 1024,
        ...config,
      },
    })
  }

  dataOf(member: number): string {
    const { folder, dataOf } = this.#options
    return dataOf?.(member) ?? join(folder, `member-${member}`, 'data')
  }

  /** kill -9. */
  async kill(member: number): Promise<void> {
    await this.#members[member]?.kill()
  }

  async killAll(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.kill()))
  }

  pause(member: number): void {
    this.#members[member]?.signal('SIGSTOP')
  }

  resume(member: number): void {
    this.#members[member]?.signal('SIGCONT')
  }

  /** Takes back what a killed member had not synced. */
  losePower(member: number, survives: () => boolean): PowerLoss {
    return losePower(this.#journalOf(member), this.dataOf(member), survives)
  }

  /** Members that ended by themselves start anew, as their StatefulSet would have them; their last words. */
  restartEnded(): readonly string[] {
    return this.#members.flatMap((member, index) => {
      if (!member.hasEnded) return []
      this.startMember(index)
      return [member.output.slice(-500)]
    })
  }

  /** The member that leads in the highest term. Rejects when none does within the time. */
  async leader(timeoutMs = 60_000): Promise<number> {
    let leader = -1
    await this.#until('a leader', timeoutMs, async () => {
      const facts = await this.#facts()
      const leads = facts.filter(
        (one) => textAt(one, 'role') === 'leader' && at(one, 'isReady') === true,
      )
      const [newest] = leads.toSorted(
        (left, right) => numberAt(right, 'term') - numberAt(left, 'term'),
      )
      leader = newest === undefined ? -1 : numberAt(newest, 'id')
      return leader >= 0
    })
    return leader
  }

  /** Resolves when all members are voters, ready, and of one mind about the leader. */
  async whole(timeoutMs = 120_000): Promise<void> {
    await this.#until('a whole group', timeoutMs, async () => {
      const facts = await this.#facts()
      const [first] = facts
      const voters = listAt(first, 'members').filter((one) => textAt(one, 'role') === 'voter')
      return (
        facts.length === MEMBERS &&
        voters.length === MEMBERS &&
        facts.every(
          (one) => at(one, 'isReady') === true && at(one, 'leader') === at(first, 'leader'),
        )
      )
    })
  }

  /** Ends all processes; safe to call twice. */
  async destroy(): Promise<void> {
    for (const member of this.#members) {
      if (!member.hasEnded) member.signal('SIGCONT')
    }
    await this.killAll()
    await this.#namesrv?.kill()
  }

  async #start(): Promise<void> {
    const { network, folder } = this.#options
    this.#namesrv = ServerProcess.start({
      kind: 'gantry',
      role: 'namesrv',
      folder,
      host: network.outside,
      config: {
        listenPort: NAMESRV_PORT,
        bindAddress: network.outside,
        kvConfigPath: join(folder, 'kvConfig.json'),
        metricsPromExporterHost: network.outside,
        metricsPromExporterPort: ADMIN_PORT,
      },
    })
    await this.#namesrv.ready()
    for (let member = 0; member < MEMBERS; member++) this.startMember(member)
    await this.whole()
  }

  #journalOf(member: number): string {
    return join(this.#options.folder, `journal-${member}`)
  }

  /** GET /admin/v1/raft of every member that answers. */
  async #facts(): Promise<readonly unknown[]> {
    const answers = await Promise.all(
      this.#members.map(async (member) => {
        try {
          const url = `http://${member.host}:${ADMIN_PORT}/admin/v1/raft`
          const answer = await fetch(url, { signal: AbortSignal.timeout(FACTS_TIMEOUT_MS) })
          const facts: unknown = await answer.json()
          return [facts]
        } catch {
          return []
        }
      }),
    )
    return answers.flat()
  }

  async #until(what: string, timeoutMs: number, isSo: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (!(await isSo())) {
      if (performance.now() > deadline) {
        const words = this.#members.map((member, index) => `${index}: ${member.output.slice(-700)}`)
        throw new Error(`${what}: not within ${timeoutMs} ms\n${words.join('\n')}`)
      }
      await sleep(POLL_MS)
    }
  }
}
