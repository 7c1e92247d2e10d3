/** A console's alarms over pictures that a test makes, with receivers that it controls and time that it moves. */
import { clusterPicture } from '../../client/cluster-picture.ts'
import type { BrokerState, NameServerState } from '../../client/cluster-picture.ts'
import { silentLogger } from '../../common/log.ts'
import { Registry } from '../../common/metrics.ts'
import type { Random } from '../../common/ports.ts'
import { SimulatedDisk } from '../../simulation/disk.ts'
import { SimulatedTime } from '../../simulation/time.ts'
import type { EventRow } from '../api-types.ts'
import { parseAlarmConfig } from './alarm-config.ts'
import { registerAlarmMetrics } from './alarm-metrics.ts'
import { AlarmService } from './alarm-service.ts'
import type { Message, WebhookAlert } from './messages.ts'
import { SendError } from './sender.ts'

const SERVERS: readonly NameServerState[] = [{ address: 'ns:9876', problem: null }]
const PATH = 'data/alarms.json'

/** Takes messages, or refuses them while `problem` is set. */
export class TestReceiver {
  readonly got: Message[] = []
  attempts = 0
  problem: SendError | null = null

  send(message: Message): Promise<string | null> {
    this.attempts++
    if (this.problem !== null) return Promise.reject(this.problem)
    this.got.push(message)
    return Promise.resolve(null)
  }

  /** `firing group g`, one for each alarm of each message. */
  get told(): readonly string[] {
    return this.got.flatMap(({ webhook }) => webhook.alerts.map(toldOf))
  }
}

function toldOf({ status, annotations }: WebhookAlert): string {
  return `${status} ${annotations['summary']?.split(':')[0] ?? ''}`
}

export class AlarmWorld {
  readonly time: SimulatedTime = new SimulatedTime()
  readonly disk: SimulatedDisk
  readonly receivers: ReadonlyMap<string, TestReceiver>
  readonly events: EventRow[] = []
  readonly #content: string
  registry: Registry = new Registry()
  service: AlarmService

  constructor(content: string, receivers: readonly string[]) {
    this.disk = new SimulatedDisk({ clock: this.time })
    this.disk.makeDirectorySync('data')
    this.#content = content
    this.receivers = new Map(receivers.map((name) => [name, new TestReceiver()]))
    this.service = this.#make()
  }

  receiver(name: string): TestReceiver {
    const found = this.receivers.get(name)
    if (found === undefined) throw new Error(`there is no receiver ${name}`)
    return found
  }

  /** The console sees this, once. */
  async see(
    brokers: readonly BrokerState[],
    nameServers: readonly NameServerState[] = SERVERS,
  ): Promise<void> {
    this.service.take(clusterPicture(this.time.now(), nameServers, brokers))
    await this.time.settle()
  }

  /** The console sees this every five seconds. */
  async seeFor(
    ms: number,
    brokers: readonly BrokerState[],
    nameServers: readonly NameServerState[] = SERVERS,
  ): Promise<void> {
    for (let passed = 0; passed < ms; passed += 5_000) {
      await this.see(brokers, nameServers)
      await this.time.advance(5_000)
    }
  }

  /** The console is killed and started anew. */
  restart(): void {
    this.time.killProcess()
    this.service = this.#make()
  }

  /** What the metrics tell now, without zeros and the prefix that all have. */
  async metricLines(): Promise<readonly string[]> {
    const lines = (await this.registry.metrics()).split('\n')
    return lines
      .filter((line) => line.startsWith('rocketmq_dashboard_') && !line.endsWith(' 0'))
      .map((line) => line.replace('rocketmq_dashboard_', ''))
  }

  #make(): AlarmService {
    this.registry = new Registry()
    const thresholds = { lagMessages: 100_000, lagMs: 3_600_000 }
    const service = new AlarmService({
      config: parseAlarmConfig(this.#content, 'alarms.yaml', thresholds),
      senders: this.receivers,
      path: PATH,
      disk: this.disk,
      clock: this.time,
      timers: this.time,
      random: HALF,
      logger: silentLogger,
      onEvent: (event) => this.events.push(event),
      onAttempt: registerAlarmMetrics(
        this.registry,
        [...this.receivers.keys()],
        () => this.service.totals,
      ),
    })
    service.start()
    return service
  }
}

const HALF: Random = {
  next: () => 0.5,
  integer: (bound) => Math.floor(bound / 2),
  bytes: (size) => Buffer.alloc(size, 7),
}
