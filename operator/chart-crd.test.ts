import { readFileSync, readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { chartTemplateOf } from './chart-crd.ts'

const CRDS = new URL('../crds/', import.meta.url)
const TEMPLATES = new URL('../charts/gantry-operator/templates/crds/', import.meta.url)

test('the chart has every definition of crds/ as it is now', () => {
  const names = readdirSync(CRDS).filter((name) => name.endsWith('.yaml'))

  const wanted = names.map((name) => [
    name,
    chartTemplateOf(readFileSync(new URL(name, CRDS), 'utf8')),
  ])
  const present = readdirSync(TEMPLATES).map((name) => [
    name,
    readFileSync(new URL(name, TEMPLATES), 'utf8'),
  ])

  expect(names.length).toBeGreaterThan(0)
  expect(present).toEqual(wanted)
})

test('what Helm would read as a template stands in the chart as text', () => {
  const template = chartTemplateOf('kind: X\nmetadata:\n  name: y\nspec: "{{ a }}"\n')

  expect(template).toContain('spec: "{{ "{{" }} a {{ "}}" }}"')
})

test('a definition with annotations of its own is refused', () => {
  expect(() => chartTemplateOf('metadata:\n  annotations:\n    a: b\n')).toThrow(/annotations/)
})
