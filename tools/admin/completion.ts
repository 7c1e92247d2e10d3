/** `gantry completion bash|zsh|fish`: a script which knows all commands, made from the commands themselves. */
import type { Command } from 'commander'

export type Shell = 'bash' | 'zsh' | 'fish'

/** A command, the words that may follow it, and their descriptions. */
export interface CompletionNode {
  /** `group lag`; empty for `gantry` itself. */
  readonly path: string
  readonly words: readonly { readonly word: string; readonly description: string }[]
}

/** All commands below some others, each with its subcommands and long flags. */
export function completionNodes(
  roots: readonly { readonly name: string; readonly description: string }[],
  programs: readonly Command[],
): readonly CompletionNode[] {
  const nodes: CompletionNode[] = [
    { path: '', words: roots.map(({ name, description }) => ({ word: name, description })) },
  ]
  const add = (command: Command, path: string) => {
    const words = [
      ...command.commands.map((each) => ({ word: each.name(), description: each.description() })),
      ...command.options.flatMap(({ long, description }) =>
        long === undefined || long === null ? [] : [{ word: long, description }],
      ),
    ]
    nodes.push({ path, words })
    for (const each of command.commands) add(each, `${path} ${each.name()}`)
  }
  for (const program of programs) add(program, program.name())
  return nodes
}

export function completionScript(shell: Shell, nodes: readonly CompletionNode[]): string {
  if (shell === 'fish') return fishScript(nodes)
  const bash = bashScript(nodes)
  return shell === 'bash'
    ? bash
    : `#compdef gantry\nautoload -U bashcompinit && bashcompinit\n${bash}`
}

function bashScript(nodes: readonly CompletionNode[]): string {
  const cases = nodes.map(
    ({ path, words }) => `    '${path}') words='${words.map(({ word }) => word).join(' ')}' ;;`,
  )
  return `_gantry() {
  local current=\${COMP_WORDS[COMP_CWORD]} path='' word words=''
  for word in "\${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}"; do
    case $word in -*) break ;; *) path="\${path:+$path }$word" ;; esac
  done
  case $path in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _gantry gantry
`
}

function fishScript(nodes: readonly CompletionNode[]): string {
  const lines = nodes.flatMap(({ path, words }) => {
    const condition = `__gantry_at ${path === '' ? "''" : `'${path}'`}`
    return words.map(({ word, description }) => {
      const text = description.replaceAll("'", "\\'")
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${word}`
      return `complete -c gantry -n "${condition}" ${what} -d '${text}'`
    })
  })
  return `function __gantry_at
  set -l words (commandline -opc)
  set -l path
  for word in $words[2..-1]
    string match -q -- '-*' $word; and break
    set -a path $word
  end
  test "$path" = $argv[1]
end
complete -c gantry -f
${lines.join('\n')}
`
}
