/** Programs on the official clients, run as pods of the cluster under test. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { environmentVariable } from './environment.ts'
import type { Fixture } from './kube-cluster.ts'
import { eventually } from './kube.ts'
import type { KubeObject } from './kube.ts'
import { at, listAt, numberAt, recordAt, textAt } from './json.ts'

export type ClientKind = 'java5' | 'java4' | 'go'

/** A running driver pod. Its standard output, JSON lines, is followed from the start. */
export interface ClientPod {
  readonly name: string
  /** Every JSON line so far. */
  readonly lines: readonly unknown[]
  /** Resolves when the program has ended by itself, with its exit code. */
  finished(timeoutMs: number): Promise<number>
  /** Asks it to end (SIGTERM) and resolves when its output is complete. */
  stop(): Promise<void>
}

/** A pod in which programs on the clients can be started by `e2e/clients/in-pod`; resolves with `NAMESPACE/POD`. */
export async function startClientHost(fixture: Fixture, namespace: string): Promise<string> {
  const name = 'clients'
  const idle = ['sh', '-c', 'trap "exit 0" TERM; while true; do sleep 1; done']
  await fixture.kube.apply(clientPod(fixture, { namespace, name }, { command: idle }))
  await eventually('the pod of the clients runs', 60_000, async () => {
    const pod = await fixture.kube.need('Pod', namespace, name)
    return textAt(pod, 'status', 'phase') === 'Running' ? true : null
  })
  return `${namespace}/${name}`
}

function clientPod(
  fixture: Fixture,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  start: { readonly command?: readonly string[]; readonly args?: readonly string[] },
  environment: Readonly<Record<string, string>> = {},
): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: 'gantry-e2e-client' } },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 100,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 10002,
        runAsGroup: 10002,
        fsGroup: 10002,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: 'client',
          image: fixture.images.clients,
          imagePullPolicy: 'IfNotPresent',
          ...start,
          env: Object.entries({ HOME: '/tmp', ...environment }).map(([name, value]) => ({
            name,
            value,
          })),
          resources: { requests: { cpu: '50m', memory: '128Mi' } },
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  }
}

/** Starts `client KIND SCENARIO ARGS…` as a pod that the restricted Pod Security Standard admits. */
export async function startClient(
  fixture: Fixture,
  where: { readonly namespace: string; readonly name: string },
  client: ClientKind,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<ClientPod> {
  const { kube } = fixture
  const { namespace, name } = where
  await kube.apply(clientPod(fixture, where, { args: [client, ...args] }, environment))
  await eventually(`client pod ${name} has started`, 60_000, async () => {
    const phase = textAt(await kube.need('Pod', namespace, name), 'status', 'phase')
    return ['Running', 'Succeeded', 'Failed'].includes(phase) ? phase : null
  })
  return follow(fixture, namespace, name)
}

function follow(fixture: Fixture, namespace: string, name: string): ClientPod {
  const { kube } = fixture
  const lines: unknown[] = []
  const child: ChildProcess = spawn('kubectl', ['--namespace', namespace, 'logs', '-f', name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) lines.push(JSON.parse(line))
    })
  }
  const exitCode = async (): Promise<number | null> => {
    const pod = await kube.need('Pod', namespace, name)
    const state = at(pod, 'status', 'containerStatuses', 0, 'state', 'terminated')
    return state === undefined ? null : numberAt(state, 'exitCode')
  }

  return {
    name,
    lines,
    finished: async (timeoutMs) => {
      const { answer } = await eventually(`client ${name} has ended`, timeoutMs, exitCode)
      await closed
      return answer
    },
    stop: async () => {
      await kube.delete('Pod', namespace, name)
      await closed
    },
  }
}

/** Runs a scenario to its end; rejects with its last lines when it does not exit with 0. */
export async function runClient(
  fixture: Fixture,
  where: { readonly namespace: string; readonly name: string },
  client: ClientKind,
  args: readonly string[],
  timeoutMs = 180_000,
): Promise<readonly unknown[]> {
  const pod = await startClient(fixture, where, client, args)
  const code = await pod.finished(timeoutMs)
  if (code !== 0) {
    const tail = await fixture.kube.logs(where.namespace, where.name, 'tailLines=30')
    throw new Error(`client ${client} ${args.join(' ')} exited with ${code}:\n${tail}`)
  }
  await fixture.kube.delete('Pod', where.namespace, where.name)
  return pod.lines
}

/** `scenario --name value …` */
export function commandLine(
  scenario: string,
  flags: Readonly<Record<string, string | number>>,
): readonly string[] {
  return [
    scenario,
    ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]),
  ]
}

export interface LoadSummary {
  readonly acked: number
  readonly failedSends: number
  readonly consumedDistinct: number
  readonly duplicates: number
  readonly lost: readonly unknown[]
  readonly outOfOrder: number
  readonly perBroker: Readonly<Record<string, unknown>>
  readonly maxGapMs: number
  readonly p99SendMs: number
}

/** The control load of every scenario: two synchronous producers and two push consumers, each acknowledged id recorded. */
export interface ControlLoad {
  /** Messages acknowledged so far by each broker. */
  perBroker(): Readonly<Record<string, number>>
  readonly failedSends: number
  readonly acked: number
  /** Ends the producers, lets the consumers catch up, and resolves with the account. */
  stop(): Promise<LoadSummary>
}

const RATE = 500

/** Starts it and resolves when it runs: a thousand messages are acknowledged. */
export async function startControlLoad(
  fixture: Fixture,
  where: { readonly namespace: string; readonly cluster: string; readonly name?: string },
  options: { readonly rate?: number } = {},
): Promise<ControlLoad> {
  const { namespace, cluster, name = 'control-load' } = where
  const client = clientKind()
  const pod = await startClient(
    fixture,
    { namespace, name },
    client,
    commandLine('control-load', {
      namesrv: `${cluster}-namesrv:9876`,
      topic: 'ControlLoad',
      group: 'control-load',
      rate: options.rate ?? RATE,
      // A consumer hears of a broker's queues at its next look at the route, up to 30 s later.
      'drain-ms': 60_000,
    }),
  )
  const load: ControlLoad = {
    perBroker: () => counts(recordAt(latest(pod), 'perBroker')),
    get failedSends() {
      return numberAt(latest(pod), 'failedSends')
    },
    get acked() {
      return numberAt(latest(pod), 'acked')
    },
    stop: async () => {
      await pod.stop()
      return summaryOf(pod)
    },
  }
  try {
    await eventually('the control load is acknowledged', 60_000, () =>
      Promise.resolve(load.acked > 1000 ? true : null),
    )
  } catch (error) {
    const tail = await fixture.kube.logs(namespace, name, 'tailLines=40')
    throw new Error(`the control load does not start:\n${tail}`, { cause: error })
  }
  return load
}

/** Not Go: that client takes addresses of name servers only, no names, and so cannot follow a name server to its next pod. */
function clientKind(): ClientKind {
  const given = environmentVariable('GANTRY_E2E_LOAD_CLIENT')
  return given === 'java4' ? given : 'java5'
}

function latest(pod: ClientPod): unknown {
  return pod.lines.findLast((line) => Number.isFinite(numberAt(line, 'acked')))
}

function counts(record: Readonly<Record<string, unknown>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.keys(record).map((key) => [key, numberAt(record, key)]))
}

function summaryOf(pod: ClientPod): LoadSummary {
  const line = pod.lines.findLast((candidate) => Array.isArray(at(candidate, 'lost')))
  if (line === undefined) throw new Error(`${pod.name} ended without a summary`)
  return {
    acked: numberAt(line, 'acked'),
    failedSends: numberAt(line, 'failedSends'),
    consumedDistinct: numberAt(line, 'consumedDistinct'),
    duplicates: numberAt(line, 'duplicates'),
    lost: listAt(line, 'lost'),
    outOfOrder: numberAt(line, 'outOfOrder'),
    perBroker: recordAt(line, 'perBroker'),
    maxGapMs: numberAt(line, 'maxGapMs'),
    p99SendMs: numberAt(line, 'p99SendMs'),
  }
}
