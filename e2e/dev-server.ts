/** The servers under test of the suites without Kubernetes: those at NAMESRV_ADDR, else a `gantry dev` of this checkout. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ROOT, VERSION, environmentVariable } from './environment.ts'

export interface DevServer {
  /** host:port of the name server. */
  readonly namesrv: string
  /** What answers there, for the figures. */
  readonly description: string
  /** The brokers have the keys that were asked for; of those at NAMESRV_ADDR only GANTRY_E2E_CONFIGURED=true says so. */
  readonly configured: boolean
  stop(): Promise<void>
}

export interface DevOptions {
  readonly portOffset: number
  readonly groups: number
  /** Of each group; one when not given. */
  readonly members?: number
  /** Keys of broker.conf. */
  readonly config: Readonly<Record<string, string>>
  /** Where the data is kept, for those who look at it; else in a folder that goes with the server. */
  readonly data?: string
  /** Access control with this Secret. */
  readonly users?: Readonly<Record<string, string>>
  /** With the console. */
  readonly dashboard?: boolean
}

const READY_TIMEOUT_MS = 60_000

/** Resolves when a send would succeed; rejects with the output when `gantry dev` ends or is not ready in time. */
export async function startDevServer(options: DevOptions): Promise<DevServer> {
  const given = environmentVariable('NAMESRV_ADDR')
  if (given !== '') {
    return {
      namesrv: given,
      description: `NAMESRV_ADDR=${given}`,
      configured: environmentVariable('GANTRY_E2E_CONFIGURED') === 'true',
      stop: () => Promise.resolve(),
    }
  }

  const folder = await mkdtemp(join(tmpdir(), 'gantry-e2e-'))
  const manifest = join(folder, 'cluster.yaml')
  await writeFile(manifest, manifestOf(options))
  const portOffset = String(options.portOffset)
  const place = options.data === undefined ? ['--ephemeral'] : ['--data', options.data]
  const more = options.dashboard === true ? [] : ['--no-dashboard']
  const args = ['dev', '-f', manifest, ...place, ...more, '--port-offset', portOffset]
  const child = spawn(join(ROOT, 'gantry'), args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const closed = once(child, 'close')
  const namesrv = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGTERM')
      reject(new Error(`gantry dev is not ready within ${READY_TIMEOUT_MS} ms:\n${output}`))
    }, READY_TIMEOUT_MS)
    const take = (line: string): void => {
      output = `${output}${line}\n`.slice(-16_000)
      const found = /^ready namesrv=(\S+)/u.exec(line)?.[1]
      if (found === undefined) return
      clearTimeout(timer)
      resolve(found)
    }
    createInterface({ input: child.stdout }).on('line', take)
    createInterface({ input: child.stderr }).on('line', take)
    closed.then(
      ([code]: readonly unknown[]) => {
        clearTimeout(timer)
        reject(new Error(`gantry dev ended with ${String(code)}:\n${output}`))
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(new Error('gantry dev does not start', { cause: error }))
      },
    )
  })
  return {
    namesrv,
    description: `gantry dev at ${namesrv}`,
    configured: true,
    stop: async () => {
      child.kill('SIGTERM')
      await closed
      await rm(folder, { recursive: true })
      if (child.exitCode !== 0) {
        throw new Error(`gantry dev ended with ${child.exitCode} on SIGTERM:\n${output}`)
      }
    },
  }
}

function manifestOf({ groups, members, config, users }: DevOptions): string {
  const cluster = {
    apiVersion: 'rocketmq.gantry.dev/v1alpha1',
    kind: 'RocketMQCluster',
    metadata: { name: 'e2e', namespace: 'default' },
    spec: {
      version: VERSION,
      nameServer: { replicas: 1 },
      broker: { groups, replicasPerGroup: members ?? 1, config, storage: { size: '1Gi' } },
      ...(users === undefined ? {} : { accessControl: { enabled: true, secretName: 'users' } }),
    },
  }
  if (users === undefined) return JSON.stringify(cluster)
  const metadata = { name: 'users', namespace: 'default' }
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata, stringData: users }
  return [secret, cluster].map((object) => JSON.stringify(object)).join('\n---\n')
}
