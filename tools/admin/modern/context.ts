/** `gantry context`: clusters by name. */
import process from 'node:process'
import type { Command } from 'commander'
import { contextsPath, readContexts, writeContexts } from '../contexts.ts'
import { makeCommand } from '../program.ts'
import { AdminError } from '../session.ts'
import { render } from '../table.ts'

function known(name: string): ReadonlyMap<string, string> {
  const { contexts } = readContexts()
  if (!contexts.has(name)) throw new AdminError('notFound', `there is no context ${name}`)
  return contexts
}

export function contextCommand(): Command {
  const noun = makeCommand('context', 'clusters by name: list, set, use, delete')
  noun.addCommand(
    makeCommand('list', `those of ${contextsPath()}`).action(() => {
      const { current, contexts } = readContexts()
      const rows = [...contexts].map(([name, namesrv]) => {
        return { name: name === current ? `${name} *` : name, namesrv }
      })
      process.stdout.write(render({ columns: ['name', 'namesrv'], rows }, 'table'))
    }),
  )
  noun.addCommand(
    makeCommand('set', 'keep a cluster under a name')
      .argument('<name>')
      .argument('<namesrv>', 'host:port;host:port')
      .action((name: string, namesrv: string) => {
        const { current, contexts } = readContexts()
        writeContexts({
          current: current ?? name,
          contexts: new Map([...contexts, [name, namesrv]]),
        })
      }),
  )
  noun.addCommand(
    makeCommand('use', 'the cluster of commands that name none')
      .argument('<name>')
      .action((name: string) => writeContexts({ current: name, contexts: known(name) })),
  )
  noun.addCommand(
    makeCommand('delete', 'forget a name')
      .argument('<name>')
      .action((name: string) => {
        const contexts = new Map(known(name))
        contexts.delete(name)
        const { current } = readContexts()
        writeContexts({ current: current === name ? null : current, contexts })
      }),
  )
  return noun
}
