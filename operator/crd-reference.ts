/** The reference page of RocketMQCluster, from its schema. */
import { CLUSTER_SPEC_FIELD, NAME_RULE } from './cluster-schema.ts'
import { CLUSTER_STATUS_FIELD } from './cluster-status-schema.ts'
import { EVENT_REASONS } from './events.ts'
import { API_VERSION } from './crd.ts'
import { CONDITION_REASONS } from './reasons.ts'
import type { Field } from './schema.ts'

/** Markdown. */
export function clusterReference(): string {
  return [
    '<!-- Generated from operator/cluster-schema.ts by `npm run generate`: do not edit. -->',
    '# RocketMQCluster',
    '',
    `\`apiVersion: ${API_VERSION}\`, \`kind: RocketMQCluster\`, short name \`rmq\`, category \`rocketmq\`.`,
    `${NAME_RULE.message}.`,
    '',
    '## Spec',
    '',
    ...table('spec', CLUSTER_SPEC_FIELD),
    '',
    '## What is refused',
    '',
    '| Field | Message |',
    '|---|---|',
    `| \`metadata.name\` | ${NAME_RULE.message} |`,
    ...refusals('spec', CLUSTER_SPEC_FIELD),
    '',
    '## Status',
    '',
    ...table('status', CLUSTER_STATUS_FIELD),
    '',
    '## Reasons of conditions',
    '',
    '| Reason | Meaning |',
    '|---|---|',
    ...Object.entries(CONDITION_REASONS).map(([reason, text]) => `| \`${reason}\` | ${text} |`),
    '',
    '## Reasons of Events',
    '',
    '| Reason | Meaning |',
    '|---|---|',
    ...Object.entries(EVENT_REASONS).map(([reason, text]) => `| \`${reason}\` | ${text} |`),
    '',
  ].join('\n')
}

function table(path: string, field: Field<unknown>): readonly string[] {
  return ['| Field | Type | Default | Meaning |', '|---|---|---|---|', ...rows(path, field)]
}

function rows(path: string, field: Field<unknown>): readonly string[] {
  return Object.entries(field.children).flatMap(([name, child]) => {
    const isList = child.type.startsWith('list of object')
    const here = `${path}.${name}${isList ? '[]' : ''}`
    const fallback = child.isRequired
      ? 'required'
      : child.fallback === undefined
        ? ''
        : `\`${JSON.stringify(child.fallback)}\``
    const row = `| \`${here}\` | ${child.type.replaceAll('|', '\\|')} | ${fallback} | ${child.description.replaceAll('|', '\\|')} |`
    return [row, ...rows(here, child)]
  })
}

function refusals(path: string, field: Field<unknown>): readonly string[] {
  const own = field.rules.map(({ message }) => `| \`${path}\` | ${message} |`)
  const below = Object.entries(field.children).flatMap(([name, child]) =>
    refusals(`${path}.${name}`, child),
  )
  return [...own, ...below]
}
