/** The CustomResourceDefinition of RocketMQCluster, and the parser of one. */
import { CLUSTER_SPEC_FIELD, isClusterName, NAME_RULE } from './cluster-schema.ts'
import { CLUSTER_STATUS_FIELD } from './cluster-status-schema.ts'
import type { Cluster, ClusterSpec } from './cluster-types.ts'
import type { JsonObject } from './json.ts'
import { PAUSED_ANNOTATION } from './names.ts'
import type { KubeObject } from './ports.ts'
import { openApiOf } from './schema.ts'
import type { FieldProblem } from './schema.ts'

export const API_GROUP = 'rocketmq.gantry.dev'
export const API_VERSION = 'rocketmq.gantry.dev/v1alpha1'
export const KIND = 'RocketMQCluster'

export type ParsedCluster =
  | { readonly type: 'valid'; readonly cluster: Cluster }
  /** At least one problem, each with the path of its field. */
  | { readonly type: 'invalid'; readonly problems: readonly FieldProblem[] }

/**
 * The typed cluster with every default, or what is wrong with it: what the API server would answer.
 *
 * `previous` is what the object said before, for the rules about changes; null: there is nothing to compare with.
 */
export function parseCluster(
  object: KubeObject,
  previous: ClusterSpec | null = null,
): ParsedCluster {
  const problems: FieldProblem[] = []
  const { metadata } = object
  if (object.apiVersion !== API_VERSION) {
    problems.push({ path: 'apiVersion', message: `must be ${API_VERSION}` })
  }
  if (object.kind !== KIND) problems.push({ path: 'kind', message: `must be ${KIND}` })
  if (!isClusterName(metadata.name)) {
    problems.push({ path: 'metadata.name', message: NAME_RULE.message })
  }
  const spec = CLUSTER_SPEC_FIELD.parse(object.spec ?? {}, 'spec', problems)
  if (spec !== undefined) CLUSTER_SPEC_FIELD.check(spec, previous, 'spec', problems)
  if (spec === undefined || problems.length > 0) return { type: 'invalid', problems }
  const cluster: Cluster = {
    name: metadata.name,
    namespace: metadata.namespace ?? 'default',
    uid: metadata.uid ?? '',
    generation: metadata.generation ?? 1,
    annotations: metadata.annotations ?? {},
    spec,
  }
  return { type: 'valid', cluster }
}

/** Only status is written. */
export function isPaused({ spec, annotations }: Cluster): boolean {
  return spec.paused || annotations[PAUSED_ANNOTATION] === 'true'
}

/** The definition as it stands in `crds/`. */
export function clusterCrd(): JsonObject {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `rocketmqclusters.${API_GROUP}` },
    spec: {
      group: API_GROUP,
      scope: 'Namespaced',
      names: {
        kind: KIND,
        listKind: 'RocketMQClusterList',
        plural: 'rocketmqclusters',
        singular: 'rocketmqcluster',
        shortNames: ['rmq'],
        categories: ['rocketmq'],
      },
      conversion: { strategy: 'None' },
      versions: [
        {
          name: 'v1alpha1',
          served: true,
          storage: true,
          additionalPrinterColumns: PRINTER_COLUMNS,
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.broker.groups',
              statusReplicasPath: '.status.brokerGroups',
              labelSelectorPath: '.status.selector',
            },
          },
          schema: {
            openAPIV3Schema: {
              description: 'A RocketMQ cluster: name servers and broker groups.',
              type: 'object',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: openApiOf(CLUSTER_SPEC_FIELD),
                status: openApiOf(CLUSTER_STATUS_FIELD),
              },
              'x-kubernetes-validations': [{ rule: NAME_RULE.cel, message: NAME_RULE.message }],
            },
          },
        },
      ],
    },
  }
}

const PRINTER_COLUMNS: readonly JsonObject[] = [
  conditionColumn('Ready'),
  conditionColumn('Available'),
  conditionColumn('Progressing'),
  { name: 'Version', type: 'string', jsonPath: '.status.version' },
  { name: 'Groups', type: 'integer', jsonPath: '.status.brokerGroups' },
  { name: 'In sync', type: 'string', jsonPath: '.status.membersInSync' },
  { name: 'NameSrv', type: 'string', jsonPath: '.status.nameServersReady' },
  {
    name: 'Message',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Ready")].message',
  },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  { name: 'Leaders', type: 'string', jsonPath: '.status.groups[*].leader', priority: 1 },
  { name: 'Used %', type: 'integer', jsonPath: '.status.usedPercent', priority: 1 },
  { name: 'Next', type: 'string', jsonPath: '.status.plan[0]', priority: 1 },
]

function conditionColumn(type: string): JsonObject {
  return {
    name: type,
    type: 'string',
    jsonPath: `.status.conditions[?(@.type=="${type}")].status`,
  }
}
