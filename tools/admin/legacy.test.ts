import { expect, test } from 'vitest'
import { LegacyFlags, timeOf } from './legacy-command.ts'
import { REFUSED_COMMANDS } from './legacy/refused.ts'
import { LEGACY_COMMANDS, legacyProgram, withLongNames } from './legacy.ts'
import { completionNodes, completionScript } from './completion.ts'
import { makeCommand } from './program.ts'

const COMMANDS = [...LEGACY_COMMANDS, ...REFUSED_COMMANDS]

test('no command and no flag of a command stands there twice', () => {
  expect(COMMANDS.length).toBe(96)
  expect(new Set(COMMANDS.map(({ name }) => name)).size).toBe(COMMANDS.length)
  for (const { options } of LEGACY_COMMANDS) {
    const names = ['n', 'h', ...options.flatMap(({ short }) => short ?? [])]
    const long = ['namesrvAddr', 'help', ...options.map((option) => option.long)]
    expect(new Set(names).size).toBe(names.length)
    expect(new Set(long).size).toBe(long.length)
  }
})

test.each(REFUSED_COMMANDS)('$name ends with the reason, whatever it is given', async (command) => {
  const { name, reason } = command

  const run = legacyProgram().parseAsync([name, '-x', 'y', '--any=z'], { from: 'user' })

  await expect(run).rejects.toThrow(`${name}: ${reason}`)
})

test.each([
  ['-bn broker -c C', '--brokerName broker --clusterName C'],
  ['-brokerName broker --clusterName C', '--brokerName broker --clusterName C'],
  ['-b -bn -n -c', '--brokerId -bn --namesrvAddr -c'],
  ['--nameserverAddr h:1 --unknown', '--namesrvAddr h:1 --unknown'],
])('the flags %s are taken for %s', (given, taken) => {
  const argv = withLongNames(['electMaster', ...given.split(' ')])

  expect(argv).toEqual(['electMaster', ...taken.split(' ')])
})

test('a switch takes no value: what follows is a flag', () => {
  expect(withLongNames(['topicList', '-c', '-n', 'h:1'])).toEqual([
    ...['topicList', '--clusterModel', '--namesrvAddr', 'h:1'],
  ])
})

test('the completion has all commands, with their flags', () => {
  const nodes = completionNodes([], [legacyProgram()])
  const wordsAt = (at: string) =>
    nodes.find(({ path }) => path === at)?.words.map(({ word }) => word) ?? []

  expect(wordsAt('admin')).toEqual(expect.arrayContaining(COMMANDS.map(({ name }) => name)))
  expect(wordsAt('admin electMaster')).toContain('--brokerName')
})

test.each([
  ['now', 1234],
  ['1795279825151', 1_795_279_825_151],
  ['-1', -1],
  ['2026-01-31#01:02:03:004', new Date(2026, 0, 31, 1, 2, 3, 4).getTime()],
  ['2026-01-31#01:02:03', new Date(2026, 0, 31, 1, 2, 3).getTime()],
])('the time %s is %i', (text, time) => {
  expect(timeOf(text, 1234)).toBe(time)
})

test('what is no time is refused with its text', () => {
  expect(() => timeOf('yesterday', 0)).toThrow('yesterday is no time')
})

test('flags that are missing or of the wrong kind are refused by their name', () => {
  const flags = new LegacyFlags(
    new Map([
      ['r', 'many'],
      ['o', 'perhaps'],
    ]),
  )

  expect(() => flags.need('t')).toThrow('-t is missing')
  expect(() => flags.number('r', 1)).toThrow('-r is no whole number')
  expect(() => flags.flag('o', false)).toThrow('-o is neither true nor false')
  expect(flags.number('w', 8)).toBe(8)
})

test('the completion knows each command at its place', () => {
  const group = makeCommand('group', 'groups')
  group.addCommand(makeCommand('lag', "a group's lag").option('--watch', 'again'))

  const nodes = completionNodes([{ name: 'group', description: 'groups' }], [group])

  expect(nodes.map(({ path, words }) => [path, words.map(({ word }) => word)])).toEqual([
    ['', ['group']],
    ['group', ['lag']],
    ['group lag', ['--watch']],
  ])
  expect(completionScript('bash', nodes)).toContain("'group lag') words='--watch' ;;")
  expect(completionScript('fish', nodes)).toContain("-f -a lag -d 'a group\\'s lag'")
})
