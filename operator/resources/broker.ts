/** The objects of one broker group. Pure. */
import {
  ADMIN_PORT,
  BROKER_PORT,
  BROKER_SLICE_MANAGER,
  BROKER_VIP_PORT,
  groupName,
  membersServiceName,
  PEER_PORT,
  selectorLabels,
} from '../names.ts'
import type { KubeObject } from '../ports.ts'
import type { RetentionPolicy } from '../cluster-types.ts'
import {
  ADMIN_CONTAINER_PORT,
  claimTemplate,
  CONFIG_FOLDER,
  configMap,
  DATA_FOLDER,
  disruptionBudget,
  downwardEnvironment,
  imageOf,
  ownedObject,
  podTemplate,
} from './common.ts'
import type { Component, ConfigEntries, ResourceContext } from './common.ts'
import { nameServerAddresses } from './name-server.ts'

const CONFIG_FILE = 'broker.conf'
/** Which member a pod is, stronger than the file that all members share. Kubernetes sets the label from 1.28 on. */
const MEMBER_ENVIRONMENT = [
  {
    name: 'GANTRY_MEMBER_ID',
    valueFrom: {
      fieldRef: { apiVersion: 'v1', fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']" },
    },
  },
  { name: 'GANTRY_CONFIG_dLegerSelfId', value: 'n$(GANTRY_MEMBER_ID)' },
] as const
/** A leader that is stopped by anybody hands over first; the rest of the grace period is for the store. */
const HAND_OVER = ['gantry', 'hand-over', '--admin-port', String(ADMIN_PORT), '--timeout', '30']
const COMMAND = ['gantry', 'broker', '-c', `${CONFIG_FOLDER}/${CONFIG_FILE}`]

/** The members of a group. Those that run learn of others from the group itself; who starts without a group needs it. */
export const PEERS_KEY = 'dLegerPeers'

export const READ_WRITE = '6'
export const READ_ONLY = '4'

/** What of a group follows from where it stands. */
export interface GroupWish {
  readonly group: number
  /** `brokerPermission` in the file: a broker that restarts half-way through a drain stays closed. */
  readonly permission: typeof READ_WRITE | typeof READ_ONLY
  /** The members that are configured. */
  readonly size: number
  /** Pods: as many as members, or none. */
  readonly replicas: number
  /** The size in the claim template, which cannot be changed while there is a StatefulSet; null: that of the spec. */
  readonly templateSize: string | null
  /** What happens to the volumes when the StatefulSet is deleted. */
  readonly volumesWhenDeleted: RetentionPolicy
  /** Annotations of the StatefulSet, and of the ConfigMap while there is none. */
  readonly annotations: Readonly<Record<string, string>>
}

/** In the order in which they are applied; the StatefulSet last. */
export function brokerObjects(context: ResourceContext, wish: GroupWish): readonly KubeObject[] {
  const component: Component = {
    name: groupName(context.cluster.name, wish.group),
    role: 'broker',
    group: wish.group,
  }
  return [
    configMap(context, component, {
      file: CONFIG_FILE,
      entries: brokerConfig(context, wish),
      annotations: wish.annotations,
    }),
    ...services(context, component, wish.group),
    endpointSlice(context, component),
    ...identity(context, component),
    disruptionBudget(context, component),
    statefulSet(context, component, wish),
  ]
}

/** The entries of broker.conf. */
export function brokerConfig(
  { cluster, addressing, superUsers }: ResourceContext,
  { group, permission, size }: Pick<GroupWish, 'group' | 'permission' | 'size'>,
): ConfigEntries {
  const { broker } = cluster.spec
  const { name, namespace } = cluster
  const advertised = addressing.advertised(name, group, size)
  const peers = Array.from({ length: size }, (_, ordinal) => {
    return `n${ordinal}-${addressing.member(name, namespace, group, ordinal)}`
  })
  return {
    flushDiskType: broker.flush === 'Sync' ? 'SYNC_FLUSH' : 'ASYNC_FLUSH',
    fileReservedTime: String(broker.retentionHours),
    diskMaxUsedSpaceRatio: String(broker.diskMaxUsedPercent),
    ...broker.config,
    ...(superUsers === null
      ? { allowUnauthenticatedAdmin: 'true' }
      : { authenticationEnabled: 'true', authorizationEnabled: 'true' }),
    brokerClusterName: cluster.name,
    brokerName: groupName(cluster.name, group),
    brokerId: '0',
    namesrvAddr: nameServerAddresses(cluster, addressing).join(';'),
    listenPort: String(BROKER_PORT),
    metricsPromExporterPort: String(ADMIN_PORT),
    storePathRootDir: `${DATA_FOLDER}/store`,
    brokerPermission: permission,
    enableDLegerCommitLog: 'true',
    dLegerGroup: groupName(cluster.name, group),
    [PEERS_KEY]: peers.join(';'),
    ...(advertised === null ? {} : { brokerIP1: advertised.host }),
    ...(advertised === null || advertised.port === null
      ? {}
      : { advertisedPort: String(advertised.port) }),
  }
}

/**
 * The users that a leader makes when they are not there. Another name is another template, so that brokers restart and make that user; a
 * password is only read by who makes the user.
 */
function superUserEnvironment({
  superUsers,
}: ResourceContext): readonly Readonly<Record<string, unknown>>[] {
  if (superUsers === null) return []
  const { secretName, administrator, inner } = superUsers
  const password = (name: string, key: string): Readonly<Record<string, unknown>> => ({
    name,
    valueFrom: { secretKeyRef: { name: secretName, key } },
  })
  const user = (key: string, value: object): Readonly<Record<string, unknown>> => ({
    name: `GANTRY_CONFIG_${key}`,
    value: JSON.stringify(value),
  })
  return [
    password('GANTRY_ADMINISTRATOR_PASSWORD', 'password'),
    password('GANTRY_INNER_PASSWORD', 'innerPassword'),
    user('initAuthenticationUser', {
      username: administrator.accessKey,
      password: '$(GANTRY_ADMINISTRATOR_PASSWORD)',
    }),
    user('innerClientAuthenticationCredentials', {
      accessKey: inner.accessKey,
      secretKey: '$(GANTRY_INNER_PASSWORD)',
    }),
  ]
}

function services(
  context: ResourceContext,
  component: Component,
  group: number,
): readonly KubeObject[] {
  const ports = [
    { name: 'remoting', port: BROKER_PORT, targetPort: BROKER_PORT, protocol: 'TCP' },
    { name: 'vip', port: BROKER_VIP_PORT, targetPort: BROKER_VIP_PORT, protocol: 'TCP' },
  ]
  const { cluster } = context
  return [
    ownedObject(context, component, {
      apiVersion: 'v1',
      kind: 'Service',
      name: membersServiceName(cluster.name, group),
      spec: {
        clusterIP: 'None',
        publishNotReadyAddresses: true,
        selector: selectorLabels(cluster.name, 'broker', group),
        ports: [
          ...ports,
          { name: 'raft', port: PEER_PORT, targetPort: PEER_PORT, protocol: 'TCP' },
          { name: 'admin', port: ADMIN_PORT, targetPort: ADMIN_PORT, protocol: 'TCP' },
        ],
      },
    }),
    // The group's address. No selector: its one endpoint is written by the leader itself.
    ownedObject(context, component, {
      apiVersion: 'v1',
      kind: 'Service',
      name: component.name,
      spec: { type: 'ClusterIP', ports },
    }),
  ]
}

/** Without `endpoints`: those are the leader's to write. */
function endpointSlice(context: ResourceContext, component: Component): KubeObject {
  return ownedObject(context, component, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    name: component.name,
    labels: {
      'kubernetes.io/service-name': component.name,
      'endpointslice.kubernetes.io/managed-by': BROKER_SLICE_MANAGER,
    },
    addressType: 'IPv4',
    ports: [
      { name: 'remoting', port: BROKER_PORT, protocol: 'TCP' },
      { name: 'vip', port: BROKER_VIP_PORT, protocol: 'TCP' },
    ],
  })
}

/** The right to write that one EndpointSlice, and no other. */
function identity(context: ResourceContext, component: Component): readonly KubeObject[] {
  const { name } = component
  return [
    ownedObject(context, component, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      name,
      automountServiceAccountToken: false,
    }),
    ownedObject(context, component, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      name,
      rules: [
        {
          apiGroups: ['discovery.k8s.io'],
          resources: ['endpointslices'],
          resourceNames: [name],
          verbs: ['get', 'patch'],
        },
      ],
    }),
    ownedObject(context, component, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      name,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name, namespace: context.cluster.namespace }],
    }),
  ]
}

function statefulSet(context: ResourceContext, component: Component, wish: GroupWish): KubeObject {
  const { cluster, addressing } = context
  const { storage, resources, podTemplate: overlay } = cluster.spec.broker
  const isBehindService = addressing.advertised(cluster.name, wish.group, wish.size) === null
  const template = podTemplate(context, component, {
    image: imageOf(context),
    command: COMMAND,
    checkCommand: [...COMMAND, '--check-config'],
    ports: [
      { name: 'remoting', containerPort: BROKER_PORT },
      { name: 'vip', containerPort: BROKER_VIP_PORT },
      { name: 'raft', containerPort: PEER_PORT },
      ADMIN_CONTAINER_PORT,
    ],
    environment: [
      ...downwardEnvironment(),
      ...MEMBER_ENVIRONMENT,
      ...superUserEnvironment(context),
      ...(isBehindService
        ? [{ name: 'GANTRY_LEADER_SERVICE', value: `${component.name}.${cluster.namespace}.svc` }]
        : []),
    ],
    resources,
    preStop: HAND_OVER,
    hasToken: isBehindService,
    serviceAccountName: component.name,
    claim: 'data',
    config: brokerConfig(context, wish),
    overlay,
  })
  return ownedObject(context, component, {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    name: component.name,
    annotations: wish.annotations,
    spec: {
      serviceName: membersServiceName(cluster.name, wish.group),
      replicas: wish.replicas,
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      persistentVolumeClaimRetentionPolicy: {
        whenDeleted: wish.volumesWhenDeleted,
        // Whoever scales by hand, or hibernates, keeps the volumes; those of members that left go by an act of their own.
        whenScaled: 'Retain',
      },
      selector: { matchLabels: selectorLabels(cluster.name, 'broker', wish.group) },
      template,
      volumeClaimTemplates: [
        claimTemplate(context, component, { ...storage, size: wish.templateSize ?? storage.size }),
      ],
    },
  })
}
