import { expect, test } from 'vitest'
import { brokerObjects } from '../operator/resources/broker.ts'
import { nameServerObjects } from '../operator/resources/name-server.ts'
import type { KubeObject } from '../operator/ports.ts'
import { defaultManifest } from './manifest.ts'
import { planPod } from './pod-plan.ts'
import type { PodPlan } from './pod-plan.ts'
import { createLocalAddressing } from './ports.ts'

const context = {
  cluster: defaultManifest(null).cluster,
  addressing: createLocalAddressing('127.0.0.1', 0, (_pod, role, ordinal) => ({
    role,
    slot: ordinal,
    adminSlot: ordinal + 1,
  })),
  operandImage: 'gantry',
  superUsers: null,
}
const GROUP = {
  group: 0,
  permission: '6',
  size: 1,
  replicas: 1,
  templateSize: null,
  volumesWhenDeleted: 'Retain',
  annotations: {},
} as const
const BROKER = brokerObjects(context, GROUP)
const { cluster } = context
const nameServer = { ...cluster.spec.nameServer, storage: null }
const NAME_SERVER = nameServerObjects(
  { ...context, cluster: { ...cluster, spec: { ...cluster.spec, nameServer } } },
  1,
)

function plan(
  objects: readonly KubeObject[],
  podName: string,
  claims: readonly string[],
  secret: KubeObject | null = null,
): PodPlan {
  const statefulSet = objects.find((object) => object.kind === 'StatefulSet')
  return planPod({
    podName,
    namespace: 'ns',
    template: statefulSet?.spec?.['template'],
    claims,
    configMap: (name) => objects.find((object) => object.metadata.name === name) ?? null,
    secret: (name) => (secret?.metadata.name === name ? secret : null),
    layout: {
      claimFolder: () => `/d/${podName}`,
      scratchFolder: (volume) => `/d/scratch/${volume}`,
      configFolder: (volume) => `/d/config/${volume}`,
    },
    ports: { remoting: 10_921, admin: 5560 },
    bindHost: '127.0.0.1',
    podIp: '127.0.0.1',
  })
}

test('a broker is started with its own file, and flags put it on its own ports', () => {
  const { role, argv } = plan(BROKER, 'dev-broker-0-0', ['data'])

  expect(role).toBe('broker')
  expect(argv.slice(0, 3)).toEqual(['broker', '-c', '/d/config/config/broker.conf'])
  expect(argv).toContain('listenPort=10921')
  expect(argv).toContain('metricsPromExporterPort=5560')
  expect(argv).toContain('bindAddress=127.0.0.1')
})

test('paths of the container become paths of this machine, in files too', () => {
  const { files, dataFolders, scratchFolders, dataFolder } = plan(BROKER, 'dev-broker-0-0', [
    'data',
  ])

  expect(files.map((file) => file.path)).toEqual(['/d/config/config/broker.conf'])
  expect(files[0]?.content).toMatch(/^storePathRootDir=\/d\/dev-broker-0-0\/store$/m)
  expect(files[0]?.content).toMatch(/^brokerIP1=127\.0\.0\.1$/m)
  expect(dataFolders).toEqual(['/d/dev-broker-0-0'])
  expect(dataFolder).toBe('/d/dev-broker-0-0')
  expect(scratchFolders).toEqual(['/d/scratch/tmp'])
})

test('a name server without a claim keeps its data in a scratch folder', () => {
  const { argv, dataFolder, files } = plan(NAME_SERVER, 'dev-namesrv-0', [])

  expect(argv.slice(0, 3)).toEqual(['namesrv', '-c', '/d/config/config/namesrv.conf'])
  expect(dataFolder).toMatch(/^\/d\/scratch\//)
  expect(files).toHaveLength(1)
})

test('the downward API is answered, and a leader Service is not looked for', () => {
  const { environment } = plan(BROKER, 'dev-broker-0-0', ['data'])

  expect(environment).toMatchObject({
    GANTRY_POD_NAME: 'dev-broker-0-0',
    GANTRY_POD_NAMESPACE: 'ns',
    GANTRY_POD_IP: '127.0.0.1',
    GANTRY_MEMBER_ID: '0',
    GANTRY_CONFIG_dLegerSelfId: 'n0',
  })
  expect(environment).not.toHaveProperty('GANTRY_LEADER_SERVICE')
})

test('passwords come from the Secret into the environment, and a missing key is told', () => {
  const user = (accessKey: string) => ({ accessKey, secretKey: 'elsewhere' })
  const superUsers = { secretName: 's', administrator: user('root'), inner: user('inner') }
  const objects = brokerObjects({ ...context, superUsers }, GROUP)
  const secretOf = (data: Readonly<Record<string, string>>): KubeObject => {
    return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data }
  }
  const values = { password: btoa('a$(GANTRY_POD_NAME)'), innerPassword: btoa("i'") }

  const { environment } = plan(objects, 'dev-broker-0-0', ['data'], secretOf(values))

  expect(environment['GANTRY_CONFIG_initAuthenticationUser']).toBe(
    '{"username":"root","password":"a$(GANTRY_POD_NAME)"}',
  )
  expect(environment['GANTRY_CONFIG_innerClientAuthenticationCredentials']).toBe(
    `{"accessKey":"inner","secretKey":"i'"}`,
  )
  expect(() => plan(objects, 'dev-broker-0-0', ['data'], secretOf({ password: '' }))).toThrow(
    'dev-broker-0-0: there is no Secret s with innerPassword',
  )
})

test('the grace period of the pod is that of its process', () => {
  expect(plan(BROKER, 'dev-broker-0-0', ['data']).stopGraceMs).toBe(120_000)
})

test('a command of no known role, and a volume of no known kind, are refused with the name of the pod', () => {
  const base = {
    podName: 'p',
    namespace: 'ns',
    claims: [],
    configMap: () => null,
    secret: () => null,
    bindHost: '',
    podIp: '',
  }
  const layout = { claimFolder: () => '', scratchFolder: () => '', configFolder: () => '' }
  const ports = { remoting: 1, admin: 2 }
  const strange = { spec: { containers: [{ command: ['bash'] }] } }
  const secret = {
    spec: {
      containers: [
        { command: ['gantry', 'broker'], volumeMounts: [{ name: 's', mountPath: '/s' }] },
      ],
      volumes: [{ name: 's', secret: {} }],
    },
  }

  expect(() => planPod({ ...base, layout, ports, template: strange })).toThrow(
    "p: unknown role 'bash'",
  )
  expect(() => planPod({ ...base, layout, ports, template: secret })).toThrow("p: volume 's'")
})
