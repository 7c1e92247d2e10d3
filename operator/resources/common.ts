/** What the objects of name servers and brokers have in common. Pure. */
import { formatJavaProperties } from '../../common/java-properties.ts'
import { API_VERSION, KIND } from '../crd.ts'
import type { Cluster, PodTemplateOverlay, Resources } from '../cluster-types.ts'
import { hashOf, isRecord } from '../json.ts'
import {
  ADMIN_PORT,
  APPLIED_ANNOTATION,
  CONFIG_ANNOTATION,
  configMapName,
  labelsOf,
  REVISION_ANNOTATION,
  selectorLabels,
} from '../names.ts'
import type { Role } from '../names.ts'
import type { Addressing, KubeObject } from '../ports.ts'
import type { SuperUsers } from '../super-users.ts'

export interface ResourceContext {
  readonly cluster: Cluster
  readonly addressing: Addressing
  /** The image of clusters that name no repository. */
  readonly operandImage: string
  /** Null: brokers ask nobody who they are. */
  readonly superUsers: SuperUsers | null
}

export type ConfigEntries = Readonly<Record<string, string>>

/** One member of the objects of a StatefulSet: whose it is and how it is labelled. */
export interface Component {
  readonly name: string
  readonly role: Role
  readonly group: number | null
}

const USER_ID = 10_001
export const CONFIG_FOLDER = '/etc/gantry'
export const DATA_FOLDER = '/data'
export const TERMINATION_GRACE_SECONDS = 120

/** The image with the cluster's version or digest. */
export function imageOf({ cluster, operandImage }: ResourceContext): string {
  const { image, version } = cluster.spec
  const repository = image.repository === '' ? repositoryOf(operandImage) : image.repository
  if (image.digest !== null) return `${repository}@${image.digest}`
  return version === null ? operandImage : `${repository}:${version}`
}

/** An object of ours: named, labelled, owned by the cluster, and stamped with the hash of what it says. */
export function ownedObject(
  context: ResourceContext,
  component: Component,
  object: {
    readonly apiVersion: string
    readonly kind: string
    readonly name: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly [member: string]: unknown
  },
): KubeObject {
  const { apiVersion, kind, name, labels = {}, annotations = {}, ...members } = object
  const { cluster } = context
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace: cluster.namespace,
      labels: { ...labels, ...labelsOf(cluster.name, component.role, component.group) },
      annotations: { ...annotations, [APPLIED_ANNOTATION]: hashOf(members) },
      ownerReferences: [
        {
          apiVersion: API_VERSION,
          kind: KIND,
          name: cluster.name,
          uid: cluster.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    ...members,
  }
}

export function configMap(
  context: ResourceContext,
  component: Component,
  content: {
    readonly file: string
    readonly entries: ConfigEntries
    readonly annotations: Readonly<Record<string, string>>
  },
): KubeObject {
  const { file, entries, annotations } = content
  return ownedObject(context, component, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    name: configMapName(component.name),
    annotations,
    data: { [file]: formatJavaProperties(Object.entries(entries)) },
  })
}

/** At most one pod at a time leaves on request. */
export function disruptionBudget(context: ResourceContext, component: Component): KubeObject {
  const { cluster } = context
  return ownedObject(context, component, {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    name: component.name,
    spec: {
      maxUnavailable: 1,
      // A pod that is not ready serves nobody: it may always leave, so that a broken one can be replaced.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: selectorLabels(cluster.name, component.role, component.group) },
    },
  })
}

/** The hash of each configuration key: what a pod was started with. */
export function configHashes(entries: ConfigEntries): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(entries)
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([key, value]) => [key, hashOf(value).slice(0, 6)]),
  )
}

export interface PodParts {
  readonly image: string
  readonly command: readonly string[]
  /** The command of the init container that refuses a bad configuration. */
  readonly checkCommand: readonly string[]
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly environment: readonly Readonly<Record<string, unknown>>[]
  readonly resources: Resources
  /** Run in the container before it is told to stop; null: nothing. */
  readonly preStop: readonly string[] | null
  readonly hasToken: boolean
  readonly serviceAccountName: string | null
  /** Where /data comes from: a claim of the StatefulSet of this name, or null for a scratch folder. */
  readonly claim: string | null
  readonly config: ConfigEntries
  readonly overlay: PodTemplateOverlay
}

/** A pod template: ours over the overlay, with the annotations that tell a pod's revision. */
export function podTemplate(
  context: ResourceContext,
  component: Component,
  parts: PodParts,
): Readonly<Record<string, unknown>> {
  const { cluster } = context
  const { overlay } = parts
  const spec = mergeOver(overlay.spec, podSpec(context, component, parts))
  const labels = {
    ...overlay.metadata.labels,
    ...labelsOf(cluster.name, component.role, component.group),
  }
  return {
    metadata: {
      labels,
      annotations: {
        ...overlay.metadata.annotations,
        [REVISION_ANNOTATION]: hashOf({ spec, labels, annotations: overlay.metadata.annotations }),
        [CONFIG_ANNOTATION]: JSON.stringify(configHashes(parts.config)),
      },
    },
    spec,
  }
}

function podSpec(
  { cluster }: ResourceContext,
  component: Component,
  parts: PodParts,
): Readonly<Record<string, unknown>> {
  const { image } = cluster.spec
  const { overlay } = parts
  const alike = selectorLabels(cluster.name, component.role, null)
  const members = selectorLabels(cluster.name, component.role, component.group)
  const scratch = parts.claim === null ? [{ name: 'data', emptyDir: {} }] : []
  return {
    ...(parts.serviceAccountName === null ? {} : { serviceAccountName: parts.serviceAccountName }),
    automountServiceAccountToken: parts.hasToken,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: TERMINATION_GRACE_SECONDS,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: USER_ID,
      runAsGroup: USER_ID,
      fsGroup: USER_ID,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...(image.pullSecrets.length === 0
      ? {}
      : { imagePullSecrets: image.pullSecrets.map((name) => ({ name })) }),
    ...('affinity' in overlay.spec ? {} : { affinity: preferOtherNodes(members, alike) }),
    ...('topologySpreadConstraints' in overlay.spec
      ? {}
      : { topologySpreadConstraints: spreadOverZones(members) }),
    initContainers: [container(parts, image.pullPolicy, 'check-config', parts.checkCommand)],
    containers: [
      {
        ...container(parts, image.pullPolicy, component.role, parts.command),
        ports: parts.ports.map((port) => ({ ...port, protocol: 'TCP' })),
        ...(parts.preStop === null
          ? {}
          : { lifecycle: { preStop: { exec: { command: parts.preStop } } } }),
        ...probes(),
      },
    ],
    volumes: [
      { name: 'config', configMap: { name: configMapName(component.name) } },
      { name: 'tmp', emptyDir: {} },
      ...scratch,
    ],
  }
}

function container(
  parts: PodParts,
  pullPolicy: string,
  name: string,
  command: readonly string[],
): Readonly<Record<string, unknown>> {
  return {
    name,
    image: parts.image,
    imagePullPolicy: pullPolicy,
    command,
    env: parts.environment,
    resources: parts.resources,
    // A wrong configuration is told in the pod's status, where `kubectl describe` and the operator look.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      { name: 'config', mountPath: CONFIG_FOLDER, readOnly: true },
      { name: 'data', mountPath: DATA_FOLDER },
      { name: 'tmp', mountPath: '/tmp' },
    ],
  }
}

function probes(): Readonly<Record<string, unknown>> {
  const get = (path: string): unknown => ({ path, port: 'admin' })
  return {
    // Recovery of a large log may take long; only a process that has stopped answering is killed.
    startupProbe: {
      httpGet: get('/startupz'),
      periodSeconds: 2,
      timeoutSeconds: 2,
      failureThreshold: 1800,
    },
    readinessProbe: {
      httpGet: get('/readyz'),
      periodSeconds: 3,
      timeoutSeconds: 2,
      failureThreshold: 3,
    },
    livenessProbe: {
      httpGet: get('/livez'),
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 6,
    },
  }
}

/** Above all the members of one group go to different nodes; it stays a wish, so that a single node takes them all. */
function preferOtherNodes(
  members: Readonly<Record<string, string>>,
  alike: Readonly<Record<string, string>>,
): unknown {
  const away = (weight: number, matchLabels: Readonly<Record<string, string>>): unknown => ({
    weight,
    podAffinityTerm: { labelSelector: { matchLabels }, topologyKey: 'kubernetes.io/hostname' },
  })
  const isGroup = Object.keys(members).length > Object.keys(alike).length
  return {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        away(100, members),
        ...(isGroup ? [away(10, alike)] : []),
      ],
    },
  }
}

function spreadOverZones(matchLabels: Readonly<Record<string, string>>): unknown {
  return [
    {
      maxSkew: 1,
      topologyKey: 'topology.kubernetes.io/zone',
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: { matchLabels },
    },
  ]
}

export function downwardEnvironment(): readonly Readonly<Record<string, unknown>>[] {
  const field = (name: string, fieldPath: string): Readonly<Record<string, unknown>> => ({
    name,
    valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath } },
  })
  return [
    field('GANTRY_POD_NAME', 'metadata.name'),
    field('GANTRY_POD_NAMESPACE', 'metadata.namespace'),
    field('GANTRY_POD_IP', 'status.podIP'),
  ]
}

export const ADMIN_CONTAINER_PORT: { readonly name: string; readonly containerPort: number } = {
  name: 'admin',
  containerPort: ADMIN_PORT,
}

export function claimTemplate(
  context: ResourceContext,
  component: Component,
  storage: { readonly size: string; readonly storageClassName: string },
): Readonly<Record<string, unknown>> {
  const { storageClassName, size } = storage
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name: 'data',
      labels: labelsOf(context.cluster.name, component.role, component.group),
    },
    spec: {
      accessModes: ['ReadWriteOnce'],
      volumeMode: 'Filesystem',
      ...(storageClassName === '' ? {} : { storageClassName }),
      resources: { requests: { storage: size } },
    },
  }
}

/**
 * `ours` over `base`: maps member by member, lists of named things (containers, volumes, variables, mounts) by name, and
 * everything else ours when we say something.
 */
export function mergeOver(
  base: Readonly<Record<string, unknown>>,
  ours: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const merged: Record<string, unknown> = { ...base }
  for (const [name, value] of Object.entries(ours)) merged[name] = mergeValue(base[name], value)
  return merged
}

function mergeValue(base: unknown, ours: unknown): unknown {
  if (isRecord(base) && isRecord(ours)) return mergeOver(base, ours)
  if (!Array.isArray(base) || !Array.isArray(ours)) return ours
  const known = new Map(base.map((item: unknown) => [keyOf(item), item]))
  if (known.has(null) || ours.some((item) => keyOf(item) === null)) return ours
  const ourKeys = new Set(ours.map(keyOf))
  const merged = ours.map((item: unknown) => mergeValue(known.get(keyOf(item)), item))
  return [...merged, ...base.filter((item: unknown) => !ourKeys.has(keyOf(item)))]
}

function keyOf(item: unknown): string | null {
  if (!isRecord(item)) return null
  const key = item['mountPath'] ?? item['name']
  return typeof key === 'string' ? key : null
}

/** `registry:5000/gantry` of `registry:5000/gantry:1.0.0` and of `registry:5000/gantry@sha256:…`. */
function repositoryOf(image: string): string {
  const [name = ''] = image.split('@')
  const colon = name.lastIndexOf(':')
  return colon > name.lastIndexOf('/') ? name.slice(0, colon) : name
}
