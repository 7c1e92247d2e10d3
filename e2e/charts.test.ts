/** The charts as text: they lint, render, refuse what they do not know, and ask for no more rights than they need. */
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { ROOT, run } from './environment.ts'
import { covers } from './features.ts'
import { at, listAt, numberAt, recordAt, textAt } from './json.ts'

const OPERATOR = 'charts/gantry-operator'
const CLUSTER = 'charts/gantry-cluster'

test.each([OPERATOR, CLUSTER])('%s lints', async (chart) => {
  const { stdout } = await run('helm', ['lint', '--strict', chart])

  expect(stdout).toContain('1 chart(s) linted, 0 chart(s) failed')
})

test.each([
  [OPERATOR, 'replicas=3'],
  [OPERATOR, 'replicaCount=0'],
  [OPERATOR, 'crds.drop=true'],
  [OPERATOR, 'image.digest=latest'],
  [OPERATOR, 'logLevel=loud'],
  [OPERATOR, 'monitoring.enabled=perhaps'],
  [OPERATOR, 'monitoring.rules.disabled={noleader}'],
  [CLUSTER, 'broker.groups=0'],
  [CLUSTER, 'broker.replicasPerGroup=2'],
  [CLUSTER, 'broker.storage.size=lots'],
  [CLUSTER, 'clusterName=1prod'],
  [CLUSTER, 'brokers.groups=2'],
  [CLUSTER, 'accessControl.secretName=Mine'],
  [CLUSTER, 'dashboard.service.port=0'],
  [CLUSTER, 'dashboard.alarms.config.rules[0].kind=lag'],
  [CLUSTER, 'dashboard.alarms.config.receivers[0].email.password=x'],
])('%s refuses %s', async (chart, value) => {
  await expect(run('helm', ['template', 'x', chart, '--set', value])).rejects.toThrow(
    /values don't meet the specifications of the schema/,
  )
})

test('the operator asks for no wildcard, no pods/exec, and of secrets to read one by name and to make one, or nothing', async () => {
  const rules = await operatorRules()
  const words = rules.flatMap((rule) =>
    ['apiGroups', 'resources', 'verbs'].flatMap((member) => listAt(rule, member)),
  )

  expect(words.length).toBeGreaterThan(20)
  expect(words).not.toContain('*')
  expect(words).not.toContain('pods/exec')
  expect(rules.filter((rule) => listAt(rule, 'resources').includes('secrets'))).toEqual([
    { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'create'] },
  ])
  expect(JSON.stringify(await operatorRules('rbac.secrets=false'))).not.toContain('secrets')
})

async function operatorRules(...values: readonly string[]): Promise<readonly unknown[]> {
  return (await render(OPERATOR, values))
    .filter((object) => ['Role', 'ClusterRole'].includes(textAt(object, 'kind')))
    .flatMap((object) => listAt(object, 'rules'))
}

test('the cluster, its console and its test use one Secret, that of the operator unless another is named; none where access control is off', async () => {
  const environmentOf = (object: unknown, ...path: readonly string[]): string =>
    JSON.stringify(at(object, ...path, 'containers', 0, 'env') ?? null)
  const seen = async (...values: readonly string[]): Promise<readonly unknown[]> => {
    const objects = await render(CLUSTER, values)
    const ofKind = (kind: string): unknown =>
      objects.find((object) => textAt(object, 'kind') === kind)
    return [
      at(ofKind('RocketMQCluster'), 'spec', 'accessControl'),
      environmentOf(ofKind('Deployment'), 'spec', 'template', 'spec'),
      environmentOf(ofKind('Pod'), 'spec'),
    ]
  }
  const environment = (secret: string): string =>
    JSON.stringify([
      {
        name: 'GANTRY_ACCESS_KEY',
        valueFrom: { secretKeyRef: { name: secret, key: 'innerUsername' } },
      },
      {
        name: 'GANTRY_SECRET_KEY',
        valueFrom: { secretKeyRef: { name: secret, key: 'innerPassword' } },
      },
    ])
  const [made, named] = [environment('release-users'), environment('mine')]

  expect(await seen('accessControl.enabled=false')).toEqual([undefined, 'null', 'null'])
  expect(await seen()).toEqual([{ enabled: true }, made, made])
  expect(await seen('accessControl.secretName=mine')).toEqual([
    { enabled: true, secretName: 'mine' },
    named,
    named,
  ])
})

test('an operator of listed namespaces gets a Role in each and no cluster-wide right', async () => {
  const objects = await render(OPERATOR, ['watchNamespaces={shop,pay}'])
  const kinds = objects.map((object) => textAt(object, 'kind'))
  const namespaces = objects
    .filter((object) => textAt(object, 'kind') === 'Role')
    .map((object) => textAt(object, 'metadata', 'namespace'))

  expect(kinds).not.toContain('ClusterRole')
  expect(kinds).not.toContain('ClusterRoleBinding')
  expect(namespaces).toEqual(expect.arrayContaining(['shop', 'pay']))
})

test('every pod of the charts holds the restricted Pod Security Standard', async () => {
  const [deployment] = (await render(OPERATOR)).filter(
    (one) => textAt(one, 'kind') === 'Deployment',
  )
  const cluster = await render(CLUSTER)
  const pod = cluster.find((one) => textAt(one, 'kind') === 'Pod')
  const dashboard = cluster.find((one) => textAt(one, 'kind') === 'Deployment')
  const specs = [
    at(deployment, 'spec', 'template', 'spec'),
    at(dashboard, 'spec', 'template', 'spec'),
    at(pod, 'spec'),
  ]

  for (const spec of specs) {
    expect(at(spec, 'securityContext', 'runAsNonRoot')).toBe(true)
    expect(textAt(spec, 'securityContext', 'seccompProfile', 'type')).toBe('RuntimeDefault')
    expect(at(spec, 'containers', 0, 'securityContext')).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
  }
})

test('the console has a first password that only its Secret tells, or a given one, or is left out', async () => {
  const kinds = async (...values: readonly string[]): Promise<readonly string[]> =>
    (await render(CLUSTER, values)).map((object) => textAt(object, 'kind')).toSorted()
  const objects = await render(CLUSTER)
  const secret = objects.find((object) => textAt(object, 'kind') === 'Secret')
  const password = Buffer.from(textAt(secret, 'data', 'password'), 'base64').toString()
  const others = JSON.stringify(objects.filter((object) => object !== secret))

  expect(password).toMatch(/^[0-9A-Za-z]{24}$/u)
  expect(others).not.toContain(password)
  expect(await kinds('dashboard.existingSecret=mine', 'dashboard.storage.size=')).toEqual([
    'Deployment',
    'Pod',
    'RocketMQCluster',
    'Service',
  ])
  expect(await kinds('dashboard.enabled=false')).toEqual(['Pod', 'RocketMQCluster'])
})

test('the console has its own keys, however they were written', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-chart-'))
  const file = join(folder, 'values.yaml')
  const config = { pollIntervalMs: 10_000_000, secureCookie: true, logLevel: 'debug' }
  await writeFile(file, JSON.stringify({ dashboard: { config } }))
  const objects = await render(CLUSTER, ['dashboard.config.sessionIdleMinutes=5'], ['-f', file])
  await rm(folder, { recursive: true })
  const deployment = objects.find((object) => textAt(object, 'kind') === 'Deployment')

  expect(listAt(deployment, 'spec', 'template', 'spec', 'containers', 0, 'args')).toEqual(
    expect.arrayContaining([
      'pollIntervalMs=10000000',
      'secureCookie=true',
      'logLevel=debug',
      'sessionIdleMinutes=5',
    ]),
  )
})

test('the console has its alarms file and the Secret beside it, takes the file, and starts anew when it changes', async () => {
  const receiver = 'dashboard.alarms.config.receivers[0]'
  const rule = 'dashboard.alarms.config.rules[0]'
  const values = [
    `${receiver}.name=chat`,
    `${receiver}.webhook.url=https://alerts.example.com/hook`,
    `${rule}.kind=groupLag`,
    `${rule}.messages=1000000`,
    'dashboard.alarms.existingSecret=alarm-secrets',
  ]
  const ofKind = (objects: readonly unknown[], kind: string): unknown =>
    objects.find((object) => textAt(object, 'kind') === kind)
  const objects = await render(CLUSTER, values)
  const others = await render(CLUSTER, [...values, `${rule}.for=2m`])
  const without = await render(CLUSTER)
  const file = textAt(ofKind(objects, 'ConfigMap'), 'data', 'alarms.yaml')
  const pod = at(ofKind(objects, 'Deployment'), 'spec', 'template')
  const folder = await mkdtemp(join(tmpdir(), 'gantry-chart-'))
  await writeFile(join(folder, 'alarms.yaml'), file)
  const args = ['dashboard', '--check-config', '-p', `alarmsFile=${folder}/alarms.yaml`]
  const { stdout } = await run(join(ROOT, 'gantry'), args)
  await rm(folder, { recursive: true })

  expect(stdout).toBe('OK\n')
  expect(parse(file)).toMatchObject({ cluster: 'release', rules: [{ messages: 1_000_000 }] })
  expect(listAt(pod, 'spec', 'containers', 0, 'args')).toContain(
    'alarmsFile=/etc/gantry-dashboard-alarms/alarms.yaml',
  )
  expect(listAt(pod, 'spec', 'containers', 0, 'volumeMounts')).toContainEqual({
    name: 'alarm-secrets',
    mountPath: '/etc/gantry-alarms',
    readOnly: true,
  })
  expect(
    at(ofKind(others, 'Deployment'), 'spec', 'template', 'metadata', 'annotations'),
  ).not.toEqual(at(pod, 'metadata', 'annotations'))
  expect(JSON.stringify(without)).not.toContain('alarm')
})

test('the boards are ConfigMaps that Grafana finds, one for each file, and say what the file says', async () => {
  const boards = (
    await render(OPERATOR, ['monitoring.enabled=true', 'monitoring.dashboards.enabled=true'])
  ).filter((object) => / *-board-/u.test(textAt(object, 'metadata', 'name')))
  const files = (await readdir(`${ROOT}${OPERATOR}/files/boards`)).toSorted()
  const pairs = boards.map((object) => ({
    kind: textAt(object, 'kind'),
    label: textAt(object, 'metadata', 'labels', 'grafana_dashboard'),
    data: Object.entries(recordAt(object, 'data')),
  }))

  expect(files.length).toBeGreaterThan(3)
  expect(pairs.flatMap(({ data }) => data.map(([name]) => name)).toSorted()).toEqual(
    files.map((name) => `gantry-${name}`),
  )
  for (const { kind, label, data } of pairs) {
    expect([kind, label]).toEqual(['ConfigMap', '1'])
    for (const [name, content] of data) {
      const path = `${ROOT}${OPERATOR}/files/boards/${name.replace('gantry-', '')}`
      const board: unknown = JSON.parse(String(content))
      expect(board).toEqual(JSON.parse(await readFile(path, 'utf8')))
      expect(textAt(board, 'title')).not.toBe('')
      expect(listAt(board, 'panels').length).toBeGreaterThan(0)
    }
  }
  expect(new Set(pairs.map(({ data }) => uidOf(data))).size).toBe(files.length)
})

function uidOf(data: readonly (readonly [string, unknown])[]): string {
  return textAt(JSON.parse(String(data[0]?.[1])), 'uid')
}

test('monitors, alerts and boards come when they are asked for, or where Prometheus has its definitions', async ({
  task,
}) => {
  covers(task, 'K15')
  const kinds = async (...flags: readonly string[]): Promise<readonly string[]> =>
    (await render(OPERATOR, [], flags))
      .map((object) => textAt(object, 'kind'))
      .filter((kind) => /Monitor$|^PrometheusRule$/u.test(kind))
      .toSorted()
  const all = ['PodMonitor', 'PodMonitor', 'PrometheusRule', 'ServiceMonitor']

  expect(await kinds()).toEqual([])
  expect(await kinds('--api-versions=monitoring.coreos.com/v1')).toEqual(all)
  expect(await kinds('--set=monitoring.enabled=true')).toEqual(all)
  expect(
    await kinds('--api-versions=monitoring.coreos.com/v1', '--set=monitoring.enabled=false'),
  ).toEqual([])
})

test('the rules of the chart are the tested ones, without those that are turned off', async () => {
  const file: unknown = parse(await readFile(`${ROOT}${OPERATOR}/files/alerts.yaml`, 'utf8'))
  const ruleOf = (objects: readonly unknown[]): unknown =>
    objects.find((object) => textAt(object, 'kind') === 'PrometheusRule')
  const enabled = 'monitoring.enabled=true'

  const rule = ruleOf(await render(OPERATOR, [enabled]))
  const linked = ruleOf(
    await render(OPERATOR, [
      enabled,
      'monitoring.rules.disabled={GantryNoLeader}',
      'monitoring.rules.runbookUrl=https://docs.example.com/runbooks',
      'monitoring.labels.release=prometheus',
    ]),
  )

  expect(at(rule, 'spec', 'groups')).toEqual(at(file, 'groups'))
  expect(textAt(linked, 'metadata', 'labels', 'release')).toBe('prometheus')
  expect(textAt(linked, 'spec', 'groups', 0, 'rules', 0, 'alert')).toBe('GantryMemberAway')
  expect(textAt(linked, 'spec', 'groups', 0, 'rules', 0, 'annotations', 'runbook_url')).toBe(
    'https://docs.example.com/runbooks#gantrymemberaway',
  )
})

test('the operator runs twice, spread and protected by a budget', async () => {
  const objects = await render(OPERATOR)
  const kinds = objects.map((object) => textAt(object, 'kind'))
  const deployment = objects.find((object) => textAt(object, 'kind') === 'Deployment')

  expect(numberAt(deployment, 'spec', 'replicas')).toBe(2)
  expect(kinds).toContain('PodDisruptionBudget')
  expect(
    textAt(deployment, 'spec', 'template', 'spec', 'topologySpreadConstraints', 0, 'topologyKey'),
  ).toBe('kubernetes.io/hostname')
})

test('the definitions come with the chart, stay at its uninstall, and can be left out', async () => {
  const isDefinition = (object: unknown): boolean =>
    textAt(object, 'kind') === 'CustomResourceDefinition'
  const definitions = (await render(OPERATOR)).filter(isDefinition)
  const without = (await render(OPERATOR, ['crds.enabled=false'])).filter(isDefinition)
  const unkept = (await render(OPERATOR, ['crds.keep=false'])).filter(isDefinition)
  const policy = (object: unknown): string =>
    textAt(object, 'metadata', 'annotations', 'helm.sh/resource-policy')

  expect(definitions.length).toBeGreaterThan(0)
  expect(definitions.map(policy)).toEqual(definitions.map(() => 'keep'))
  expect(without).toEqual([])
  expect(unkept.map(policy)).toEqual(unkept.map(() => ''))
})

test('a cluster chart renders only what was set, and its name servers are where its test looks', async () => {
  const objects = await render(CLUSTER, ['broker.config.flushDiskType=SYNC_FLUSH'])
  const cluster = objects.find((object) => textAt(object, 'kind') === 'RocketMQCluster')
  const pod = objects.find((object) => textAt(object, 'kind') === 'Pod')

  expect(textAt(cluster, 'spec', 'broker', 'config', 'flushDiskType')).toBe('SYNC_FLUSH')
  expect(at(cluster, 'spec', 'broker', 'drain')).toBeUndefined()
  expect(listAt(pod, 'spec', 'containers', 0, 'args')).toContain('release-namesrv:9876')
})

test.each([OPERATOR, CLUSTER])('every value of %s is in its README', async (chart) => {
  const values = parseAllDocuments(await readFile(`${ROOT}${chart}/values.yaml`, 'utf8'))[0]?.toJS()
  const readme = await readFile(`${ROOT}${chart}/README.md`, 'utf8')

  const missing = leaves(values).filter((path) => !readme.includes(`\`${path}\``))

  expect(missing).toEqual([])
})

test('every chart has notes, a schema and a README', async () => {
  for (const chart of [OPERATOR, CLUSTER]) {
    const names = await readdir(`${ROOT}${chart}`, { recursive: true })

    expect(names).toEqual(
      expect.arrayContaining(['values.schema.json', 'README.md', 'templates/NOTES.txt']),
    )
  }
})

async function render(
  chart: string,
  values: readonly string[] = [],
  flags: readonly string[] = [],
): Promise<readonly unknown[]> {
  const { stdout } = await run('helm', [
    'template',
    'release',
    chart,
    '--namespace=somewhere',
    ...values.map((value) => `--set=${value}`),
    ...flags,
  ])
  return parseAllDocuments(stdout)
    .map((document): unknown => document.toJS())
    .filter((object) => object !== null)
}

/** Paths of the values that a person sets; maps which end in an empty one or in Kubernetes' own types count as one. */
function leaves(value: unknown, path = ''): readonly string[] {
  const opaque =
    /^(resources|podSecurityContext|securityContext|(nameServer|broker|dashboard)\.resources)$/
  if (typeof value !== 'object' || value === null || Array.isArray(value) || opaque.test(path)) {
    return [path]
  }
  const members = Object.entries(value)
  if (members.length === 0) return [path]
  return members.flatMap(([name, member]) => leaves(member, path === '' ? name : `${path}.${name}`))
}
