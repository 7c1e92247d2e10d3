/**
 * Reads the manifest of `gantry dev -f FILE`: one RocketMQCluster among the documents of a YAML file, checked as an API server would check it.
 * What is wrong is told with file, line and field.
 */
import { readFileSync } from 'node:fs'
import { GantryError, messageOf } from '../common/errors.ts'
import { isRecord, textAt, valueAt } from '../operator/json.ts'
import { API_VERSION, KIND, parseCluster } from '../operator/crd.ts'
import type { Cluster, ClusterSpec } from '../operator/cluster-types.ts'
import type { KubeObject } from '../operator/ports.ts'

export type ManifestErrorCode = 'unreadable' | 'syntax' | 'invalid'

/** The manifest cannot be used. The message has a line for each problem: `FILE:LINE: field: what is wrong`. */
export class ManifestError extends GantryError<ManifestErrorCode> {}

export interface Manifest {
  /** As the API server would store it. */
  readonly object: KubeObject
  readonly cluster: Cluster
  /** Of the same file and namespace. */
  readonly secrets: readonly KubeObject[]
  /** What differs from Kubernetes here, one sentence each. */
  readonly notes: readonly string[]
}

/** What a document of the file says, and where its fields stand. */
interface YamlDocument {
  readonly value: unknown
  readonly lineOf: (path: readonly (string | number)[]) => number
}

const DEFAULT_NAMESPACE = 'default'
/** The least that the schema allows: five seconds more than clients keep a route. */
export const LOCAL_SETTLE_SECONDS = 35

/** The cluster of a `gantry dev` without a file: one name server, one broker. */
export function defaultManifest(previous: ClusterSpec | null): Manifest {
  const object = {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { name: 'dev', namespace: DEFAULT_NAMESPACE },
    spec: {
      version: versionOfPackage(),
      nameServer: { replicas: 1, storage: { size: '1Gi' } },
      broker: { groups: 1, replicasPerGroup: 1, storage: { size: '100Gi' } },
    },
  }
  return check(object, previous, 'the default manifest', () => 1)
}

function versionOfPackage(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  )
  return textAt(manifest, 'version') ?? '0.0.0'
}

/**
 * The manifest in `text`, which stands in `file`. `previous` is the spec that runs, for the rules about changes. Throws `ManifestError`.
 */
export async function readManifest(
  file: string,
  text: string,
  previous: ClusterSpec | null,
): Promise<Manifest> {
  const documents = await parseYaml(file, text)
  const clusters = documents.filter(({ value }) => textAt(value, 'kind') === KIND)
  const [first, second] = clusters
  if (first === undefined) {
    throw new ManifestError('invalid', `${file}:1: no ${KIND} in this file`)
  }
  if (second !== undefined) {
    const line = second.lineOf(['kind'])
    throw new ManifestError('invalid', `${file}:${line}: a second ${KIND}: gantry dev runs one`)
  }
  const manifest = check(first.value, previous, file, first.lineOf)
  const { namespace } = manifest.cluster
  const others = documents.filter((document) => document !== first && document.value !== null)
  const secrets = others.flatMap(({ value }) => secretOf(value, namespace) ?? [])
  const ignored = others
    .filter(({ value }) => secretOf(value, namespace) === null)
    .map(({ value }) => textAt(value, 'kind') ?? 'a document without kind')
  if (ignored.length === 0) return { ...manifest, secrets }
  const notes = [...manifest.notes, `not used here: ${ignored.join(', ')}`]
  return { ...manifest, secrets, notes }
}

/** As the API server would store it; null for anything else. */
function secretOf(value: unknown, clusterNamespace: string): KubeObject | null {
  const name = textAt(value, 'metadata', 'name')
  const namespace = textAt(value, 'metadata', 'namespace') ?? DEFAULT_NAMESPACE
  if (textAt(value, 'kind') !== 'Secret' || name === null || namespace !== clusterNamespace) {
    return null
  }
  const plain = Object.entries(valueAt(value, 'stringData') ?? {}).map(([key, text]) => [
    key,
    Buffer.from(String(text)).toString('base64'),
  ])
  const encoded = Object.entries(valueAt(value, 'data') ?? {}).map(([key, text]) => [
    key,
    String(text),
  ])
  const data = Object.fromEntries([...encoded, ...plain])
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, data }
}

function check(
  value: unknown,
  previous: ClusterSpec | null,
  file: string,
  lineOf: YamlDocument['lineOf'],
): Manifest {
  const name = valueAt(value, 'metadata', 'name')
  if (!isRecord(value) || typeof name !== 'string') {
    const line = lineOf(['metadata', 'name'])
    throw new ManifestError('invalid', `${file}:${line}: metadata.name: is missing`)
  }
  const { object, notes } = localised(value, name)
  const parsed = parseCluster(object, previous)
  if (parsed.type === 'valid') return { object, cluster: parsed.cluster, secrets: [], notes }
  const sentences = parsed.problems.map(({ path, message }) => {
    return `${file}:${lineOf(stepsOf(path))}: ${path}: ${message}`
  })
  throw new ManifestError('invalid', sentences.join('\n'))
}

/** Metadata that counts here, and the shorter pauses of one machine. */
function localised(
  value: Readonly<Record<string, unknown>>,
  name: string,
): { readonly object: KubeObject; readonly notes: readonly string[] } {
  const given = valueAt(value, 'metadata', 'annotations')
  const annotations = isRecord(given)
    ? Object.fromEntries(Object.entries(given).map(([key, text]) => [key, String(text)]))
    : {}
  const spec = isRecord(value['spec']) ? value['spec'] : {}
  const settles = valueAt(spec, 'broker', 'drain', 'settleSeconds') !== undefined
  const object = {
    apiVersion: textAt(value, 'apiVersion') ?? '',
    kind: KIND,
    metadata: {
      name,
      namespace: textAt(value, 'metadata', 'namespace') ?? DEFAULT_NAMESPACE,
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    },
    spec: settles ? spec : withSettleSeconds(spec),
  }
  const note = `spec.broker.drain.settleSeconds is ${LOCAL_SETTLE_SECONDS} here when the manifest does not say`
  return { object, notes: settles ? [] : [note] }
}

function withSettleSeconds(
  spec: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const { broker = {} } = spec
  // What is no object is left for the parser to complain about.
  if (!isRecord(broker)) return spec
  const { drain = {} } = broker
  if (!isRecord(drain)) return spec
  return {
    ...spec,
    broker: { ...broker, drain: { ...drain, settleSeconds: LOCAL_SETTLE_SECONDS } },
  }
}

/** `spec.broker.config["a.b"]`, `spec.list[2].name` -> steps. */
function stepsOf(path: string): readonly (string | number)[] {
  const steps: (string | number)[] = []
  for (const match of path.matchAll(/\[(\d+)\]|\["([^"]*)"\]|([^.[\]]+)/g)) {
    const [, index, quoted, plain] = match
    steps.push(index === undefined ? (quoted ?? plain ?? '') : Number(index))
  }
  return steps
}

async function parseYaml(file: string, text: string): Promise<readonly YamlDocument[]> {
  // Loaded only when there is a file: most starts are without one.
  const { isNode, LineCounter, parseAllDocuments } = await import('yaml')
  const lines = new LineCounter()
  const parsed = parseAllDocuments(text, { lineCounter: lines })
  if (!Array.isArray(parsed)) return []
  return parsed.map((document) => {
    const [problem] = document.errors
    if (problem !== undefined) {
      const line = problem.linePos?.[0].line ?? 1
      const sentence = problem.message.split('\n')[0] ?? 'bad YAML'
      throw new ManifestError('syntax', `${file}:${line}: ${sentence}`)
    }
    let value: unknown
    try {
      value = document.toJS()
    } catch (error) {
      throw new ManifestError('syntax', `${file}:1: ${messageOf(error)}`, error)
    }
    const lineOf = (path: readonly (string | number)[]): number => {
      // A field that is missing is looked for where its parent stands.
      for (let length = path.length; length >= 0; length -= 1) {
        const node = document.getIn(path.slice(0, length), true)
        if (isNode(node) && node.range) return lines.linePos(node.range[0]).line
      }
      return 1
    }
    return { value, lineOf }
  })
}
