/** `gantry debug bundle`: one file for whoever helps, without secrets and without messages. */
import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { messageOf } from '../../../common/errors.ts'
import { GANTRY_VERSION } from '../../../remoting/command.ts'
import { groupOverview } from '../group-progress.ts'
import { Progress, acting, verb } from '../modern.ts'
import type { CommonFlags } from '../modern.ts'
import { makeCommand } from '../program.ts'
import type { Session } from '../session.ts'

const SECRET = /password|secret|accesskey|credential|token/iu

interface BundleFlags extends CommonFlags {
  readonly file: string
}

/** What could not be asked is in the bundle with the reason. */
async function attempt(ask: () => Promise<unknown>): Promise<unknown> {
  try {
    return await ask()
  } catch (error) {
    return { error: messageOf(error) }
  }
}

/** Values of keys that may be secrets are left out. */
export function withoutSecrets(
  config: ReadonlyMap<string, string>,
): Readonly<Record<string, string>> {
  const shown = [...config].map(
    ([key, value]) => [key, SECRET.test(key) && value !== '' ? '(left out)' : value] as const,
  )
  return Object.fromEntries(shown)
}

async function bundle(session: Session, flags: BundleFlags): Promise<void> {
  const { admin } = session
  const leaders = await session.leaders()
  const progress = new Progress(session, 'bundle')
  const brokers: unknown[] = []
  for (const [index, { cluster, brokerName, address }] of leaders.entries()) {
    progress.at(index, leaders.length)
    brokers.push({
      ...{ cluster, brokerName, address },
      info: await attempt(async () => Object.fromEntries(await admin.brokerRuntimeInfo(address))),
      config: await attempt(async () => withoutSecrets(await admin.getBrokerConfig(address))),
      topics: await attempt(async () =>
        [...(await admin.getAllTopicConfig(address)).topics.values()].map((topic) => ({
          ...topic,
          attributes: Object.fromEntries(topic.attributes),
        })),
      ),
    })
  }
  const nameServers: unknown[] = []
  for (const address of session.nameServers) {
    const config = await attempt(async () => withoutSecrets(await admin.getNamesrvConfig(address)))
    nameServers.push({ address, config })
  }
  progress.end()
  const content = {
    takenAt: new Date(session.now).toISOString(),
    protocolVersion: GANTRY_VERSION,
    nameServers,
    brokers,
    groups: await attempt(() => groupOverview(session)),
  }
  writeFileSync(flags.file, `${JSON.stringify(content, null, 2)}\n`)
  session.options.warn(`${flags.file}: look through it before you hand it on`)
}

export function debugCommand(): Command {
  const noun = makeCommand('debug', 'for whoever helps: bundle')
  noun.addCommand(
    acting<BundleFlags>(
      verb('bundle', 'what the cluster says of itself, without messages and secrets').option(
        '-f, --file <path>',
        'where to write it',
        'gantry-bundle.json',
      ),
      bundle,
    ),
  )
  return noun
}
