import { expect, test } from 'vitest'
import { parseCluster } from './crd.ts'
import type { Cluster } from './cluster-types.ts'
import { KubeError } from './kube-error.ts'
import type { KubeObject } from './ports.ts'
import { findSuperUsers } from './super-users.ts'
import type { FindOptions } from './super-users.ts'

const VALUES = {
  username: 'root',
  password: 'root-secret',
  innerUsername: 'inner',
  innerPassword: "inner'$(secret)",
}

function clusterOf(
  accessControl: object,
  annotations: Readonly<Record<string, string>> = {},
): Cluster {
  const parsed = parseCluster({
    apiVersion: 'rocketmq.gantry.dev/v1alpha1',
    kind: 'RocketMQCluster',
    metadata: { name: 'prod', namespace: 'shop', uid: 'u1', annotations },
    spec: { version: '0.1.0', accessControl, broker: { storage: { size: '1Gi' } } },
  })
  if (parsed.type === 'invalid') throw new Error(JSON.stringify(parsed.problems))
  return parsed.cluster
}

/** An API server with these Secrets; `calls` tells what was asked. */
function secrets(
  given: Readonly<Record<string, Readonly<Record<string, string | null>>>> = {},
): FindOptions & { readonly calls: string[]; readonly created: KubeObject[] } {
  const calls: string[] = []
  const created: KubeObject[] = []
  let seed = 0
  const bytes = (size: number): Buffer => Buffer.alloc(size, (seed += 1))
  return {
    calls,
    created,
    random: { next: () => 0, integer: () => 0, bytes },
    api: {
      get: ({ namespace, name }) => {
        calls.push(`get ${namespace}/${name}`)
        const values = given[name]
        if (values === undefined) {
          return Promise.resolve(created.find(({ metadata }) => metadata.name === name) ?? null)
        }
        const encoded = Object.entries(values).flatMap(([key, value]) =>
          value === null ? [] : [[key, btoa(value)]],
        )
        const data = Object.fromEntries(encoded)
        return Promise.resolve({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, data })
      },
      create: (object) => {
        created.push(object)
        return Promise.resolve(object)
      },
    },
  }
}

const NAMED = { enabled: true, secretName: 'mine' }

test('no Secret is asked for while access control is off', async () => {
  const options = secrets()

  const found = await findSuperUsers(clusterOf({ secretName: 'mine' }), options)

  expect(found).toEqual({ type: 'found', superUsers: null })
  expect(options.calls).toEqual([])
})

test('the super users are those of the named Secret in the namespace of the cluster', async () => {
  const options = secrets({ mine: VALUES })

  const found = await findSuperUsers(clusterOf(NAMED), options)

  expect(found).toEqual({
    type: 'found',
    superUsers: {
      secretName: 'mine',
      administrator: { accessKey: 'root', secretKey: 'root-secret' },
      inner: { accessKey: 'inner', secretKey: "inner'$(secret)" },
    },
  })
  expect(options.calls).toEqual(['get shop/mine'])
})

test.each([
  [{}, 'has no key username'],
  [{ ...VALUES, innerPassword: null }, 'has no key innerPassword'],
  [{ ...VALUES, password: 'root-secret\n' }, 'has a bad password: it ends with a line break'],
  [{ ...VALUES, password: 'short' }, 'has a bad password: 8 to 128 printable'],
  [{ ...VALUES, innerPassword: 'with "quotes"' }, 'has a bad innerPassword: 8 to 128 printable'],
  [{ ...VALUES, innerPassword: 'back\\slash' }, 'has a bad innerPassword: 8 to 128 printable'],
  [{ ...VALUES, username: 'a b' }, 'has a bad username: 1 to 64 of'],
  [{ ...VALUES, username: '' }, 'has a bad username: 1 to 64 of'],
  [{ ...VALUES, innerUsername: 'root' }, 'has the same name under username and innerUsername'],
])('of %j it is said what is wrong: %s', async (values, why) => {
  const found = await findSuperUsers(clusterOf(NAMED), secrets({ mine: values }))

  expect(found).toMatchObject({
    type: 'refused',
    message: expect.stringContaining(`spec.accessControl.secretName: Secret mine ${why}`),
  })
})

test('a named Secret that is not there is not made, and its keys are told', async () => {
  const options = secrets()

  const found = await findSuperUsers(clusterOf(NAMED), options)

  expect(found).toEqual({
    type: 'refused',
    message:
      'spec.accessControl.secretName: Secret mine is not there; it needs the keys username, innerUsername, password, innerPassword',
  })
  expect(options.created).toEqual([])
})

test('without a name a Secret is made once, that nobody owns, with other names and passwords each time', async () => {
  const cluster = clusterOf({ enabled: true })
  const options = secrets()

  const made = await findSuperUsers(cluster, options)
  const again = await findSuperUsers(cluster, options)
  const [secret] = options.created
  const other = await findSuperUsers(cluster, { ...secrets(), random: options.random })

  expect(options.created.length).toBe(1)
  expect(secret?.metadata).toMatchObject({ name: 'prod-users', namespace: 'shop' })
  expect(secret?.metadata.ownerReferences).toBeUndefined()
  if (made.type !== 'made' || again.type !== 'found' || other.type !== 'made') {
    throw new Error(JSON.stringify([made, again, other]))
  }
  expect(again.superUsers).toEqual(made.superUsers)
  expect(made.note).toContain(made.superUsers.administrator.accessKey)
  expect(made.note).not.toContain(made.superUsers.administrator.secretKey)
  const texts = [made, other].flatMap(({ superUsers: { administrator, inner } }) => [
    ...Object.values(administrator),
    ...Object.values(inner),
  ])
  expect(new Set(texts).size).toBe(8)
})

test('nothing is made for a paused cluster', async () => {
  const options = secrets()
  const cluster = clusterOf({ enabled: true }, { 'rocketmq.gantry.dev/paused': 'true' })

  const found = await findSuperUsers(cluster, options)

  expect(found).toEqual({
    type: 'refused',
    message:
      'spec.accessControl: Secret prod-users is not there, and none is made while the cluster is paused',
  })
  expect(options.created).toEqual([])
})

test('an operator that may not read Secrets says so, and one that cannot ask rejects', async () => {
  const failing = (code: 'forbidden' | 'unavailable'): FindOptions => ({
    ...secrets(),
    api: { ...secrets().api, get: () => Promise.reject(new KubeError(code, 'no')) },
  })

  expect(await findSuperUsers(clusterOf(NAMED), failing('forbidden'))).toMatchObject({
    message: expect.stringContaining("Secret mine is kept from the operator (its chart's rbac"),
  })
  await expect(findSuperUsers(clusterOf(NAMED), failing('unavailable'))).rejects.toThrow('no')
})
