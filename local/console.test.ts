import { expect, test } from 'vitest'
import { Console, renderView } from './console.ts'
import type { View } from './console.ts'

function viewOf(podCount: number, note = 'Ready'): View {
  return {
    cluster: 'demo',
    summary: note,
    isReady: note === 'Ready',
    namesrv: '127.0.0.1:9876',
    dataFolder: './gantry-data',
    pods: Array.from({ length: podCount }, (_, index) => ({
      name: `demo-broker-${index}-0`,
      kind: 'broker',
      role: index === 0 ? 'leader' : null,
      address: `127.0.0.1:${10_911 + index * 10}`,
      pid: index === 0 ? 42 : null,
      state: index === 0 ? 'ready' : 'waiting',
      isReady: index === 0,
    })),
    plan: ['open demo-broker-1'],
  }
}

function terminal(
  columns = 100,
  rows = 30,
): { readonly written: string[]; readonly output: ConstructorParameters<typeof Console>[0] } {
  const written: string[] = []
  const write = (text: string | Uint8Array): boolean => written.push(String(text)) > 0
  return { written, output: { write, isTTY: true, columns, rows } }
}

test('the view has one line for each pod with its role, address, process and state', () => {
  const lines = renderView(viewOf(2), { columns: 100, rows: 30, isColoured: false })

  expect(lines).toContain('  demo-broker-0-0  leader  127.0.0.1:10911  42   ready')
  expect(lines).toContain('  demo-broker-1-0  broker  127.0.0.1:10921  -    waiting')
  expect(lines).toContain('  next: open demo-broker-1')
})

test('no line is wider than the terminal and all together are lower than it', () => {
  const view = viewOf(30, `Steps: ${'much to do '.repeat(30)}`)
  for (const [columns, rows] of [
    [40, 6],
    [60, 10],
    [80, 24],
    [200, 50],
  ] as const) {
    const lines = renderView(view, { columns, rows, isColoured: false })

    expect(lines.length).toBeLessThan(rows)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(columns)
  }
})

test('pods that have no room are counted', () => {
  const lines = renderView(viewOf(30), { columns: 80, rows: 12, isColoured: false })

  expect(lines.some((line) => /… \d+ more/.test(line))).toBe(true)
})

test('without a terminal a message is a plain line and nothing else is written', () => {
  const { written, output } = terminal()
  const plain = new Console({ write: output.write }, {})

  plain.show(viewOf(1))
  plain.say('hello')

  expect(written).toEqual(['hello\n'])
})

test('on a terminal the view is redrawn in place and messages stay above it', () => {
  const { written, output } = terminal()
  const live = new Console(output, { NO_COLOR: '1' })
  live.show(viewOf(1))
  const drawn = (written[0] ?? '').split('\n').length - 1

  live.say('hello')

  expect(written[1]).toBe(`\u001B[${drawn}A\u001B[0J`)
  expect(written[2]).toBe('hello\n')
  expect(written[3]).toBe(written[0])
})

test('NO_COLOR and a dumb terminal are respected', () => {
  const colourful = terminal()
  const plain = terminal()
  const dumb = terminal()
  new Console(colourful.output, {}).show(viewOf(2))
  new Console(plain.output, { NO_COLOR: '1' }).show(viewOf(2))
  new Console(dumb.output, { TERM: 'dumb' }).show(viewOf(2))

  expect(colourful.written.join('')).toContain('\u001B[33m')
  expect(plain.written.join('')).not.toContain('\u001B[')
  expect(dumb.written).toEqual([])
})

test('a terminal that is too small for a table gets plain lines', () => {
  const { written, output } = terminal(30, 5)
  const small = new Console(output, {})

  small.show(viewOf(1))
  small.say('hello')

  expect(written).toEqual(['hello\n'])
})
