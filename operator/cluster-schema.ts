/** The one schema of RocketMQCluster's spec: types are checked against it, the CRD, the parser and the reference page come from it. */
import type {
  AccessControlSpec,
  BrokerSpec,
  BrokerStorage,
  ClusterSpec,
  DrainSpec,
  ImageSpec,
  NameServerSpec,
  NameServerStorage,
  PodTemplateOverlay,
  Resources,
  RolloutSpec,
  VolumeRecoverySpec,
} from './cluster-types.ts'
import { parseQuantity, QUANTITY_PATTERN } from './quantity.ts'
import {
  choiceField,
  flagField,
  foreignField,
  integerField,
  objectField,
  optional,
  quantityMapField,
  textField,
  textListField,
  textMapField,
} from './schema.ts'
import type { Field, Rule } from './schema.ts'

/** Keys of broker.conf which the operator sets. */
const OWNED_CONFIG_KEYS = [
  'brokerName',
  'brokerId',
  'brokerClusterName',
  'brokerRole',
  'brokerPermission',
  'namesrvAddr',
  'listenPort',
  'bindAddress',
  'brokerIP1',
  'advertisedPort',
  'enableDLegerCommitLog',
  'aclEnable',
  'allowUnauthenticatedAdmin',
  'authenticationEnabled',
  'authorizationEnabled',
  'initAuthenticationUser',
  'innerClientAuthenticationCredentials',
  'metricsPromExporterPort',
  'metricsPromExporterHost',
]
/** Owned is also what begins with one of these. */
const OWNED_CONFIG_PREFIXES = ['storePath', 'dLeger', 'raft', 'tls']

const GIB = 1024 ** 3

function isOwnedConfigKey(key: string): boolean {
  return (
    OWNED_CONFIG_KEYS.includes(key) ||
    OWNED_CONFIG_PREFIXES.some((prefix) => key.startsWith(prefix))
  )
}

const ownedKeysRule: Rule<Readonly<Record<string, string>>> = {
  cel: `self.all(key, !(key in [${OWNED_CONFIG_KEYS.map((key) => `'${key}'`).join(', ')}]) && !key.matches('^(${OWNED_CONFIG_PREFIXES.join('|')})'))`,
  message: `config may not set keys that the operator owns: ${OWNED_CONFIG_KEYS.join(', ')}, ${OWNED_CONFIG_PREFIXES.map((prefix) => `${prefix}*`).join(', ')}`,
  holds: (config) => !Object.keys(config).some(isOwnedConfigKey),
}

/** What a key may be spelt with; a value is one line of the file. */
const configSyntaxRule: Rule<Readonly<Record<string, string>>> = {
  cel: "self.all(key, key.matches('^[A-Za-z][A-Za-z0-9_.]*$') && !self[key].matches('[\\\\r\\\\n]'))",
  message: 'config needs keys of letters, digits, _ and ., and values of one line',
  holds: (config) =>
    Object.entries(config).every(
      ([key, value]) => /^[A-Za-z][A-Za-z0-9_.]*$/.test(key) && !/[\r\n]/.test(value),
    ),
}

const memoryLimitRule: Rule<Resources> = {
  cel: "'memory' in self.limits",
  message: 'limits.memory is required',
  holds: ({ limits }) => 'memory' in limits,
}

function immutable(name: string): Rule<string> {
  return {
    cel: 'self == oldSelf',
    message: `${name} is immutable`,
    holds: (value, old) => value === old,
    isTransition: true,
  }
}

const shrinkRule: Rule<string> = {
  cel: 'quantity(self).compareTo(quantity(oldSelf)) >= 0',
  message: 'storage cannot shrink',
  holds: (value, old) => sizeOf(value) >= sizeOf(old),
  isTransition: true,
}

const growRule: Rule<string> = {
  cel: 'quantity(self).compareTo(quantity(oldSelf)) <= 0',
  message: 'storage of name servers cannot grow in this release',
  holds: (value, old) => sizeOf(value) <= sizeOf(old),
  isTransition: true,
}

const minimumSizeRule: Rule<string> = {
  cel: "quantity(self).compareTo(quantity('1Gi')) >= 0",
  message: 'storage must be at least 1Gi',
  holds: (value) => sizeOf(value) >= GIB,
}

function sizeOf(quantity: string | null): number {
  return quantity === null ? 0 : (parseQuantity(quantity) ?? 0)
}

function sizeField(description: string, more: readonly Rule<string>[]): Field<string> {
  return textField({
    description,
    typeName: 'quantity',
    pattern: QUANTITY_PATTERN,
    maxLength: 32,
    isRequired: true,
    rules: [minimumSizeRule, shrinkRule, ...more],
  })
}

const storageClassField: Field<string> = textField({
  description: 'The StorageClass of the volumes; empty: the default one of the Kubernetes cluster.',
  fallback: '',
  maxLength: 253,
  rules: [immutable('storageClassName')],
})

function resourcesField(fallback: {
  readonly requests: Record<string, string>
  readonly limits: Record<string, string>
}): Field<Resources> {
  return objectField<Resources>(
    {
      requests: quantityMapField({ description: 'What the scheduler sets aside.', fallback: {} }),
      limits: quantityMapField({
        description: 'What a pod may use at most; `memory` is required.',
        fallback: {},
      }),
    },
    { description: 'Resources of each pod.', fallback, rules: [memoryLimitRule] },
  )
}

const podTemplateField: Field<PodTemplateOverlay> = objectField<PodTemplateOverlay>(
  {
    metadata: objectField<PodTemplateOverlay['metadata']>(
      {
        labels: textMapField({
          description: 'Labels of the pods.',
          fallback: {},
          maxEntries: 64,
          maxValueLength: 63,
        }),
        annotations: textMapField({
          description: 'Annotations of the pods.',
          fallback: {},
          maxEntries: 64,
          maxValueLength: 4096,
        }),
      },
      { description: 'Metadata of the pods.', fallback: {} },
    ),
    spec: foreignField({
      description:
        'A PodSpec: affinity, tolerations, topologySpreadConstraints, priorityClassName, further containers and volumes … What the operator sets itself wins.',
      fallback: {},
    }),
  },
  { description: 'An overlay under the pods that the operator makes.', fallback: {} },
)

const imageField: Field<ImageSpec> = objectField<ImageSpec>(
  {
    repository: textField({
      description: "The image without tag; empty: the operator's own.",
      fallback: '',
      maxLength: 255,
    }),
    digest: optional(
      textField({
        description: 'The digest of the image; wins over the version.',
        pattern: '^sha256:[0-9a-f]{64}$',
        maxLength: 71,
      }),
    ),
    pullPolicy: choiceField(['Always', 'IfNotPresent', 'Never'], {
      description: 'When the kubelet pulls the image.',
      fallback: 'IfNotPresent',
    }),
    pullSecrets: textListField({
      description: 'Names of Secrets for the registry.',
      fallback: [],
      maxItems: 16,
    }),
  },
  { description: 'Where the image of name servers and brokers comes from.', fallback: {} },
)

const nameServerStorageField: Field<NameServerStorage> = objectField<NameServerStorage>(
  {
    size: sizeField('The size of each volume. Changes are refused in this release.', [growRule]),
    storageClassName: storageClassField,
  },
  {
    description: 'A volume for the KV config of each name server; absent: it is lost with the pod.',
  },
)

const nameServerField: Field<NameServerSpec> = objectField<NameServerSpec>(
  {
    replicas: integerField({
      description: 'How many name servers; none knows of the others.',
      fallback: 3,
      min: 1,
      max: 7,
    }),
    storage: optional(nameServerStorageField),
    resources: resourcesField({
      requests: { cpu: '100m', memory: '256Mi' },
      limits: { memory: '256Mi' },
    }),
    podTemplate: podTemplateField,
  },
  {
    description: 'The name servers.',
    fallback: {},
    rules: [
      {
        cel: 'has(self.storage) == has(oldSelf.storage)',
        message: 'storage of name servers is immutable',
        holds: (value, old) => (value.storage === null) === (old === null || old.storage === null),
        isTransition: true,
      },
    ],
  },
)

const retentionField: Field<BrokerStorage['retention']> = objectField<BrokerStorage['retention']>(
  {
    whenDeleted: choiceField(['Retain', 'Delete'], {
      description: 'What happens to the volumes when the RocketMQCluster is deleted.',
      fallback: 'Retain',
    }),
    whenScaled: choiceField(['Retain', 'Delete'], {
      description:
        'What happens to the volumes of a group that was drained and removed, and of members that left.',
      fallback: 'Retain',
    }),
  },
  { description: 'Whether volumes outlive what used them.', fallback: {} },
)

const storageField: Field<BrokerStorage> = objectField<BrokerStorage>(
  {
    size: sizeField(
      'The size of the volume of each member. It may grow, if the StorageClass allows it: pods keep running where the driver can do that.',
      [],
    ),
    storageClassName: storageClassField,
    retention: retentionField,
  },
  { description: 'The volume of each member of a broker group.', isRequired: true },
)

const rolloutField: Field<RolloutSpec> = objectField<RolloutSpec>(
  {
    maxUnavailableGroups: integerField({
      description: 'Broker groups that may have a pod down at the same time for a rolling restart.',
      fallback: 1,
      min: 1,
      max: 64,
    }),
    podTimeoutSeconds: integerField({
      description: 'A restarted pod that takes longer stops the roll (reason RollStalled).',
      fallback: 300,
      min: 30,
      max: 3600,
    }),
  },
  { description: 'How pods are replaced.', fallback: {} },
)

const drainField: Field<DrainSpec> = objectField<DrainSpec>(
  {
    timeoutSeconds: integerField({
      description: '0: wait for ever. Else 60 to 604800, then `onTimeout`.',
      fallback: 0,
      min: 0,
      max: 604_800,
      rules: [
        {
          cel: 'self == 0 || self >= 60',
          message: 'timeoutSeconds must be 0 or from 60 to 604800',
          holds: (value) => value === 0 || value >= 60,
        },
      ],
    }),
    onTimeout: choiceField(['Block', 'Force'], {
      description:
        'Force removes the group with what is left in it, if the cluster has the annotation `rocketmq.gantry.dev/confirm-data-loss: <group name>`.',
      fallback: 'Block',
    }),
    unconsumed: choiceField(['Wait', 'Ignore'], {
      description:
        'Whether messages of topics that no consumer group subscribes to hold a group back.',
      fallback: 'Wait',
    }),
    settleSeconds: integerField({
      description:
        'How long clients may use an old route after write permission was taken away; they refresh every 30 s.',
      fallback: 60,
      min: 35,
      max: 600,
    }),
  },
  { description: 'How a group is emptied before it is removed.', fallback: {} },
)

const groupsField: Field<number> = integerField({
  description:
    'Broker groups. More: they get every topic before they take messages. Fewer: the last ones are drained and removed, one at a time. `kubectl scale` sets this field.',
  fallback: 1,
  min: 1,
  max: 64,
  rules: [
    {
      cel: 'self >= 1',
      message: 'groups cannot be 0: use spec.hibernate',
      holds: (value) => value >= 1,
    },
  ],
})

const replicasField: Field<BrokerSpec['replicasPerGroup']> = choiceField([1, 3, 5], {
  description:
    'Members of each group. Three survive the loss of one without losing an acknowledged message, five the loss of two. More: new members copy the log before they count. Fewer: the last ones leave, one at a time.',
  fallback: 3,
})

const recoveryField: Field<VolumeRecoverySpec> = objectField<VolumeRecoverySpec>(
  {
    enabled: flagField({
      description:
        'True: a member whose volume cannot be had any more (its node is gone, the volume is lost) gets an empty one and copies the log, if all other members are in sync. False: a person deletes the claim.',
      fallback: false,
    }),
    nodeGoneAfterSeconds: integerField({
      description: 'How long its pod must have been waiting for the volume.',
      fallback: 600,
      min: 60,
      max: 86_400,
    }),
  },
  { description: 'Replacement of lost volumes.', fallback: {} },
)

const brokerField: Field<BrokerSpec> = objectField<BrokerSpec>(
  {
    groups: groupsField,
    replicasPerGroup: replicasField,
    config: textMapField({
      description:
        "RocketMQ's own keys of broker.conf. Keys that the broker takes while it runs are pushed, others restart the pods one at a time. Wins over `flush`, `retentionHours` and `diskMaxUsedPercent`.",
      fallback: {},
      maxEntries: 200,
      maxValueLength: 4096,
      rules: [ownedKeysRule, configSyntaxRule],
    }),
    flush: choiceField(['Async', 'Sync'], {
      description: 'Sync: a send is acknowledged after fdatasync; Async: after the write.',
      fallback: 'Async',
    }),
    retentionHours: integerField({
      description: 'How long messages are kept.',
      fallback: 72,
      min: 1,
      max: 8760,
    }),
    diskMaxUsedPercent: integerField({
      description: 'Above this use of the volume the oldest messages go first.',
      fallback: 75,
      min: 50,
      max: 95,
    }),
    resources: resourcesField({
      requests: { cpu: '1', memory: '2Gi' },
      limits: { memory: '2Gi' },
    }),
    storage: storageField,
    rollout: rolloutField,
    drain: drainField,
    pvcRecovery: recoveryField,
    podTemplate: podTemplateField,
  },
  { description: 'The broker groups.', isRequired: true },
)

const accessControlField: Field<AccessControlSpec> = objectField<AccessControlSpec>(
  {
    enabled: flagField({
      description:
        'True: brokers take requests from users only, and each may do what its policies allow. Changing it restarts the brokers one at a time.',
      fallback: false,
    }),
    secretName: optional(
      textField({
        description:
          'A Secret of the same namespace with `username` and `password` of the administrator, and `innerUsername` and `innerPassword`, which the operator and the console sign with. Absent: the operator makes `<cluster>-users`, which outlives the cluster as its volumes do.',
        pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
        maxLength: 253,
      }),
    ),
  },
  { description: 'Users and permissions (ACL 2.0).', fallback: {} },
)

export const CLUSTER_SPEC_FIELD: Field<ClusterSpec> = objectField<ClusterSpec>(
  {
    version: optional(
      textField({
        description: 'The version to run: the tag of the image.',
        pattern: '^[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?$',
        maxLength: 64,
      }),
    ),
    image: imageField,
    paused: flagField({
      description:
        'True: only status is written. The annotation `rocketmq.gantry.dev/paused: "true"` says the same.',
      fallback: false,
    }),
    hibernate: flagField({
      description: 'True: no pods; brokers stop first, then name servers. Volumes stay.',
      fallback: false,
    }),
    accessControl: accessControlField,
    nameServer: nameServerField,
    broker: brokerField,
  },
  {
    description: 'What the cluster shall be.',
    isRequired: true,
    rules: [
      {
        cel: 'has(self.version) || has(self.image.digest)',
        message: 'version or image.digest is required',
        holds: ({ version, image }) => version !== null || image.digest !== null,
      },
    ],
  },
)

export const NAME_RULE: { readonly cel: string; readonly message: string } = {
  cel: "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
  message: 'metadata.name must be 1 to 40 of a-z, 0-9 and -, beginning with a letter',
}

/** The rule on metadata.name. */
export function isClusterName(name: string): boolean {
  return name.length <= 40 && /^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(name)
}
