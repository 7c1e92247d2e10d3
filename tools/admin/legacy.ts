/** `gantry admin COMMAND`: the commands and flags of Java's mqadmin. */
import { Option } from 'commander'
import type { Command } from 'commander'
import { LegacyFlags } from './legacy-command.ts'
import type { LegacyCommand, RefusedCommand } from './legacy-command.ts'
import { ACCESS_COMMANDS } from './legacy/access.ts'
import { BROKER_COMMANDS } from './legacy/brokers.ts'
import { CLIENT_COMMANDS } from './legacy/clients.ts'
import { CONSUME_QUEUE_COMMANDS } from './legacy/consume-queues.ts'
import { EXPORT_COMMANDS } from './legacy/exports.ts'
import { GROUP_COMMANDS } from './legacy/groups.ts'
import { TRACE_COMMANDS } from './legacy/message-traces.ts'
import { MESSAGE_COMMANDS } from './legacy/messages.ts'
import { PROBE_COMMANDS } from './legacy/probes.ts'
import { QUEUE_MESSAGE_COMMANDS } from './legacy/queue-messages.ts'
import { REFUSED_COMMANDS } from './legacy/refused.ts'
import { REPLICATION_COMMANDS } from './legacy/replication.ts'
import { TOPIC_COMMANDS } from './legacy/topics.ts'
import { makeCommand, withSession } from './program.ts'
import { AdminError } from './session.ts'

const AREAS: readonly (readonly [string, readonly LegacyCommand[]])[] = [
  ['Topics:', TOPIC_COMMANDS],
  ['Consumer groups:', GROUP_COMMANDS],
  ['Clients:', CLIENT_COMMANDS],
  [
    'Messages:',
    [...MESSAGE_COMMANDS, ...QUEUE_MESSAGE_COMMANDS, ...TRACE_COMMANDS, ...CONSUME_QUEUE_COMMANDS],
  ],
  ['Trying out:', PROBE_COMMANDS],
  ['Brokers and name servers:', BROKER_COMMANDS],
  ['Replication:', REPLICATION_COMMANDS],
  ['Users and permissions:', ACCESS_COMMANDS],
  ['Into files:', EXPORT_COMMANDS],
]

export const LEGACY_COMMANDS: readonly LegacyCommand[] = AREAS.flatMap(([, commands]) => commands)

const NAMESRV = 'name servers: host:port;host:port (NAMESRV_ADDR, else the context)'

export function legacyProgram(): Command {
  const program = makeCommand('admin', "commands and flags of RocketMQ's mqadmin")
  program.helpCommand('help [command]', 'the flags of a command')
  for (const [area, commands] of AREAS) {
    program.commandsGroup(area)
    for (const command of commands) program.addCommand(legacyCommand(command))
  }
  program.commandsGroup('Known, and refused with the reason:')
  for (const command of REFUSED_COMMANDS) program.addCommand(refusedCommand(command))
  return program
}

/**
 * As commander takes flags: all by their long names. mqadmin takes `-bn` and `-topic` too, which commander takes for `-b n` and
 * `-t opic`, and has two names for its name servers.
 */
export function withLongNames(argv: readonly string[]): readonly string[] {
  const [name = '', ...rest] = argv
  const found = LEGACY_COMMANDS.find((command) => command.name === name)
  if (found === undefined) return argv
  let isValue = false
  const named = rest.map((word) => {
    if (isValue) {
      isValue = false
      return word
    }
    isValue = /^(?:-n|--?namesrvAddr|--?nameserverAddr)$/u.test(word)
    if (isValue) return '--namesrvAddr'
    const option = found.options.find(
      ({ short, long }) => word === `-${short}` || word === `-${long}` || word === `--${long}`,
    )
    if (option === undefined) return word
    isValue = option.isSwitch !== true
    return `--${option.long}`
  })
  return [name, ...named]
}

function legacyCommand({ name, description, options, run }: LegacyCommand): Command {
  // mqadmin takes `-s true` for a switch as well, and does not look at the word.
  const command = makeCommand(name, description)
    .allowExcessArguments()
    .option('-n, --namesrvAddr <arg>', NAMESRV)
  const known = options.map(({ short, long, description: text, isRequired, isSwitch }) => {
    // Commander has short names of one letter only.
    const names = short?.length === 1 ? `-${short}, --${long}` : `--${long}`
    const help = (short?.length ?? 0) > 1 ? `-${short}: ${text}` : text
    const made = new Option(`${names}${isSwitch === true ? '' : ' <arg>'}`, help)
    made.makeOptionMandatory(isRequired === true)
    command.addOption(made)
    return { key: short ?? long, attribute: made.attributeName() }
  })
  return command.action(async () => {
    const given = new Map<string, unknown>(Object.entries(command.opts()))
    const values = new Map<string, string>()
    for (const { key, attribute } of known) {
      const value = given.get(attribute)
      if (typeof value === 'string') values.set(key, value)
      if (value === true) values.set(key, 'true')
    }
    const namesrv = given.get('namesrvAddr')
    const target = { namesrv: typeof namesrv === 'string' ? namesrv : undefined }
    await withSession(target, (session) => run(session, new LegacyFlags(values)))
  })
}

function refusedCommand({ name, reason }: RefusedCommand): Command {
  return makeCommand(name, reason)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      throw new AdminError('usage', `${name}: ${reason}`)
    })
}
