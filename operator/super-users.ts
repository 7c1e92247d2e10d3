/**
 * The super users of a cluster with access control: the administrator, and the inner user that the operator and the console sign with. They
 * stand in one Secret, which is found or made here. A Secret is read by its name at each pass: listing and watching would take the right
 * to read all Secrets at once.
 */
import assert from 'node:assert/strict'
import type { Credentials } from '../common/credentials.ts'
import { messageOf } from '../common/errors.ts'
import type { Random } from '../common/ports.ts'
import type { Cluster } from './cluster-types.ts'
import { isPaused } from './crd.ts'
import { textAt } from './json.ts'
import { KubeError } from './kube-error.ts'
import { CLUSTER_LABEL, OPERATOR_NAME, usersSecretName } from './names.ts'
import type { KubeApi, KubeObject } from './ports.ts'

export interface SuperUsers {
  readonly secretName: string
  readonly administrator: Credentials
  readonly inner: Credentials
}

export type FoundSuperUsers =
  /** Null: access control is off. */
  | { readonly type: 'found'; readonly superUsers: SuperUsers | null }
  | { readonly type: 'made'; readonly superUsers: SuperUsers; readonly note: string }
  /** The message names the field of the spec, and the key of the Secret. */
  | { readonly type: 'refused'; readonly message: string }

const NAME_KEYS = ['username', 'innerUsername'] as const
const PASSWORD_KEYS = ['password', 'innerPassword'] as const
const KEYS = [...NAME_KEYS, ...PASSWORD_KEYS] as const
type Key = (typeof KEYS)[number]

const NAME_PATTERN = /^[A-Za-z0-9._@-]{1,64}$/
/** They stand in a JSON text of the pods' environment as they are. */
const PASSWORD_PATTERN = /^[!#-[\]-~]{8,128}$/
const PASSWORD_BYTES = 24

export interface FindOptions {
  readonly api: Pick<KubeApi, 'get' | 'create'>
  readonly random: Random
}

/** Rejects with a `KubeError` when the API server does not answer. */
export async function findSuperUsers(
  cluster: Cluster,
  options: FindOptions,
): Promise<FoundSuperUsers> {
  const { enabled, secretName: given } = cluster.spec.accessControl
  if (!enabled) return { type: 'found', superUsers: null }
  const name = given ?? usersSecretName(cluster.name)
  const what = given === null ? 'spec.accessControl' : 'spec.accessControl.secretName'
  const refused = (why: string): FoundSuperUsers => ({
    type: 'refused',
    message: `${what}: Secret ${name} ${why}`,
  })
  try {
    const { namespace } = cluster
    const secret = await options.api.get({ apiVersion: 'v1', kind: 'Secret', namespace, name })
    if (secret !== null) {
      const read = superUsersIn(secret)
      return typeof read === 'string' ? refused(read) : { type: 'found', superUsers: read }
    }
    if (given !== null) return refused(`is not there; it needs the keys ${KEYS.join(', ')}`)
    if (isPaused(cluster))
      return refused('is not there, and none is made while the cluster is paused')
    const made = newSecret(cluster, name, options.random)
    await options.api.create(made)
    const superUsers = superUsersIn(made)
    assert(typeof superUsers !== 'string')
    const note = `Secret ${name} with the administrator ${superUsers.administrator.accessKey}`
    return { type: 'made', superUsers, note }
  } catch (error) {
    if (!(error instanceof KubeError) || error.code !== 'forbidden') throw error
    return refused(
      `is kept from the operator (its chart's rbac.secrets allows it): ${messageOf(error)}`,
    )
  }
}

/** A sentence for what is no such Secret. */
function superUsersIn(secret: KubeObject): SuperUsers | string {
  const values = new Map<Key, string>()
  for (const key of KEYS) {
    const text = textAt(secret, 'data', key)
    if (text === null) return `has no key ${key}`
    const value = Buffer.from(text, 'base64').toString('utf8')
    const problem = problemOf(key, value)
    if (problem !== null) return `has a bad ${key}: ${problem}`
    values.set(key, value)
  }
  const user = (name: Key, password: Key): Credentials => {
    return { accessKey: values.get(name) ?? '', secretKey: values.get(password) ?? '' }
  }
  const administrator = user('username', 'password')
  const inner = user('innerUsername', 'innerPassword')
  if (administrator.accessKey === inner.accessKey) {
    return 'has the same name under username and innerUsername'
  }
  return { secretName: secret.metadata.name, administrator, inner }
}

function problemOf(key: Key, value: string): string | null {
  if (/[\r\n]$/.test(value)) return 'it ends with a line break'
  const isName = NAME_KEYS.some((name) => name === key)
  if (isName) {
    return NAME_PATTERN.test(value) ? null : '1 to 64 of A-Z, a-z, 0-9, . _ @ and - are expected'
  }
  return PASSWORD_PATTERN.test(value)
    ? null
    : '8 to 128 printable ASCII characters without space, " and \\ are expected'
}

/**
 * Owned by nobody: volumes that are kept know these users, and a cluster that takes them over needs them. The names are new each time, so
 * that who has lost the Secret gets new super users beside those that the brokers already have.
 */
function newSecret(
  { name: cluster, namespace }: Cluster,
  name: string,
  random: Pick<Random, 'bytes'>,
): KubeObject {
  const suffix = random.bytes(3).toString('hex')
  const data: Readonly<Record<Key, string>> = {
    username: `admin-${suffix}`,
    password: random.bytes(PASSWORD_BYTES).toString('base64url'),
    innerUsername: `gantry-${suffix}`,
    innerPassword: random.bytes(PASSWORD_BYTES).toString('base64url'),
  }
  const encoded = Object.entries(data).map(([key, value]) => [
    key,
    Buffer.from(value).toString('base64'),
  ])
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      namespace,
      labels: {
        'app.kubernetes.io/name': 'rocketmq',
        'app.kubernetes.io/instance': cluster,
        'app.kubernetes.io/managed-by': OPERATOR_NAME,
        [CLUSTER_LABEL]: cluster,
      },
    },
    type: 'Opaque',
    data: Object.fromEntries(encoded),
  }
}
