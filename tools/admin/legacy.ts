/** `gantry admin COMMAND`: the commands and flags of Java's mqadmin. */
import { Option } from 'commander'
import type { Command } from 'commander'
import { LegacyFlags } from './legacy-command.ts'
import type { LegacyCommand } from './legacy-command.ts'
import { BROKER_COMMANDS } from './legacy/brokers.ts'
import { GROUP_COMMANDS } from './legacy/groups.ts'
import { MESSAGE_COMMANDS } from './legacy/messages.ts'
import { TOPIC_COMMANDS } from './legacy/topics.ts'
import { makeCommand, withSession } from './program.ts'

export const LEGACY_COMMANDS: readonly LegacyCommand[] = [
  ...TOPIC_COMMANDS,
  ...GROUP_COMMANDS,
  ...MESSAGE_COMMANDS,
  ...BROKER_COMMANDS,
]

const NAMESRV = 'name servers: host:port;host:port (NAMESRV_ADDR, else the context)'

export function legacyProgram(): Command {
  const program = makeCommand('admin', "commands and flags of RocketMQ's mqadmin")
  for (const command of LEGACY_COMMANDS) program.addCommand(legacyCommand(command))
  return program
}

function legacyCommand({ name, description, options, run }: LegacyCommand): Command {
  const command = makeCommand(name, description).option('-n, --namesrvAddr <arg>', NAMESRV)
  const known = options.map(({ short, long, description: text, isRequired, isSwitch }) => {
    const made = new Option(`-${short}, --${long}${isSwitch === true ? '' : ' <arg>'}`, text)
    made.makeOptionMandatory(isRequired === true)
    command.addOption(made)
    return { short, attribute: made.attributeName() }
  })
  return command.action(async () => {
    const given = new Map<string, unknown>(Object.entries(command.opts()))
    const values = new Map<string, string>()
    for (const { short, attribute } of known) {
      const value = given.get(attribute)
      if (typeof value === 'string') values.set(short, value)
      if (value === true) values.set(short, 'true')
    }
    const namesrv = given.get('namesrvAddr')
    const target = { namesrv: typeof namesrv === 'string' ? namesrv : undefined }
    await withSession(target, (session) => run(session, new LegacyFlags(values)))
  })
}
