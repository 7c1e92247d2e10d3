/** The alerts of the chart, by promtool: they are valid, and each one fires when it should and is silent when it should not. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { ROOT, run } from './environment.ts'
import { covers } from './features.ts'
import { at, listAt, textAt } from './json.ts'
import { ALERT_CASES } from './monitoring/alert-cases.ts'
import type { AlertCase } from './monitoring/alert-cases.ts'

const RULES = join(ROOT, 'charts/gantry-operator/files/alerts.yaml')

let folder: string
let rules: ReadonlyMap<string, unknown>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gantry-alerts-'))
  const file: unknown = parse(await readFile(RULES, 'utf8'))
  const all = listAt(file, 'groups').flatMap((group) => listAt(group, 'rules'))
  rules = new Map(all.map((rule) => [textAt(rule, 'alert'), rule]))
})

afterAll(async () => {
  if (folder !== undefined) await rm(folder, { recursive: true })
})

test('promtool finds nothing wrong with the alerts', async ({ task }) => {
  covers(task, 'A16', 'K15')

  const { stdout } = await run('promtool', ['check', 'rules', '--lint-fatal', RULES])

  expect(stdout).toContain('SUCCESS')
})

test('every alert has a case', () => {
  expect(ALERT_CASES.map(({ alert }) => alert).toSorted()).toEqual([...rules.keys()].toSorted())
})

test.for(ALERT_CASES)('$alert fires and is silent as it should', async (one, { task }) => {
  covers(task, 'A16')
  const file = join(folder, `${one.alert}.yaml`)
  await writeFile(file, JSON.stringify(promtoolTest(one)))

  const { stdout } = await run('promtool', ['test', 'rules', file])

  expect(stdout).toContain('SUCCESS')
})

/** https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/ */
function promtoolTest(one: AlertCase): unknown {
  const rule = rules.get(one.alert)
  const annotations = at(rule, 'annotations')
  const expected = {
    exp_labels: { ...one.labels, severity: textAt(rule, 'labels', 'severity') },
    exp_annotations: {
      ...(typeof annotations === 'object' ? annotations : {}),
      summary: one.summary,
    },
  }
  const lot = (series: AlertCase['fires'], alerts: readonly unknown[]) => ({
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    alert_rule_test: [{ eval_time: `${one.at}m`, alertname: one.alert, exp_alerts: alerts }],
  })
  return {
    rule_files: [RULES],
    tests: [lot(one.fires, [expected]), lot(one.quiet, [])],
  }
}
