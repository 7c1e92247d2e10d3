/** `gantry admin` and the nouns of the modern form: topic, group, message, cluster, user, acl, definitions, debug, context, completion. */
import process from 'node:process'
import { Argument } from 'commander'
import type { Command } from 'commander'
import { ExitCode } from '../../common/errors.ts'
import { completionNodes, completionScript } from './completion.ts'
import type { Shell } from './completion.ts'
import { legacyProgram, withLongNames } from './legacy.ts'
import { aclCommand } from './modern/acl.ts'
import { clusterCommand } from './modern/cluster.ts'
import { contextCommand } from './modern/context.ts'
import { debugCommand } from './modern/debug.ts'
import { definitionsCommand } from './modern/definitions.ts'
import { groupCommand } from './modern/group.ts'
import { messageCommand } from './modern/message.ts'
import { topicCommand } from './modern/topic.ts'
import { userCommand } from './modern/user.ts'
import { makeCommand, runProgram } from './program.ts'

const PROGRAMS: Readonly<Record<string, () => Command>> = {
  admin: legacyProgram,
  topic: topicCommand,
  group: groupCommand,
  message: messageCommand,
  cluster: clusterCommand,
  user: userCommand,
  acl: aclCommand,
  definitions: definitionsCommand,
  debug: debugCommand,
  context: contextCommand,
}

/** Runs `gantry NOUN ARGUMENTS…`; `roots` are all commands of `gantry`, for its completion. */
export async function run(
  noun: string,
  argv: readonly string[],
  roots: readonly { readonly name: string; readonly description: string }[],
): Promise<number> {
  if (noun === 'completion') return runProgram(completionCommand(roots), argv)
  const make = PROGRAMS[noun]
  if (make === undefined) return ExitCode.USAGE
  return runProgram(make(), noun === 'admin' ? withLongNames(argv) : argv)
}

function completionCommand(
  roots: readonly { readonly name: string; readonly description: string }[],
): Command {
  return makeCommand(
    'completion',
    'a completion script for a shell: source <(gantry completion bash)',
  )
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .action((shell: Shell) => {
      const nodes = completionNodes(
        roots,
        Object.values(PROGRAMS).map((make) => make()),
      )
      process.stdout.write(completionScript(shell, nodes))
    })
}
