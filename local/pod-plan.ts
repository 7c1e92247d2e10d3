/**
 * From a pod template to a process: which command with which arguments and environment, which files and folders it finds.
 * Paths inside the container become paths of this machine. Pure.
 */
import path from 'node:path'
import type { KubeObject } from '../operator/ports.ts'
import { listAt, textAt, valueAt } from '../operator/json.ts'
import type { PodPorts, Role } from './ports.ts'

export interface PodPlan {
  readonly role: Role
  /** Arguments of the `gantry` command. */
  readonly argv: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly files: readonly PlannedFile[]
  /** To be made, and never to be emptied. */
  readonly dataFolders: readonly string[]
  /** To be empty when the pod is new. */
  readonly scratchFolders: readonly string[]
  /** Where a claim is mounted, or else the first scratch folder: what is shown as the pod's data. */
  readonly dataFolder: string
  readonly stopGraceMs: number
}

export interface PlannedFile {
  readonly path: string
  readonly content: string
}

export interface PodPlanInput {
  readonly podName: string
  readonly namespace: string
  /** `spec.template` of the StatefulSet. */
  readonly template: unknown
  /** Names of its volumeClaimTemplates. */
  readonly claims: readonly string[]
  readonly configMap: (name: string) => KubeObject | null
  readonly secret: (name: string) => KubeObject | null
  readonly layout: {
    readonly claimFolder: (claim: string) => string
    readonly scratchFolder: (volume: string) => string
    readonly configFolder: (volume: string) => string
  }
  readonly ports: PodPorts
  /** What the process listens on. */
  readonly bindHost: string
  /** What others dial: the pod's IP. */
  readonly podIp: string
}

interface Mount {
  readonly mountPath: string
  readonly folder: string
  readonly kind: 'claim' | 'scratch' | 'config'
}

const ROLES: readonly Role[] = ['namesrv', 'broker', 'proxy', 'dashboard']
const DEFAULT_GRACE_SECONDS = 30
/** On this machine there are no Services to resolve. */
const DROPPED_VARIABLES: ReadonlySet<string> = new Set(['GANTRY_LEADER_SERVICE'])

/** Throws an `Error` that names what the template lacks. */
export function planPod(input: PodPlanInput): PodPlan {
  const spec = valueAt(input.template, 'spec')
  const container = listAt(spec, 'containers')[0]
  const words = [...listAt(container, 'command'), ...listAt(container, 'args')].map(String)
  const [roleName, ...rest] = /(^|\/)gantry$/.test(words[0] ?? '') ? words.slice(1) : words
  const role = ROLES.find((candidate) => candidate === roleName)
  if (role === undefined) throw new Error(`${input.podName}: unknown role '${roleName ?? ''}'`)

  const mounts = mountsOf(spec, container, input)
  const toLocal = (text: string): string => localPath(text, mounts)
  const claims = mounts.filter((mount) => mount.kind === 'claim')
  const scratch = mounts.filter((mount) => mount.kind === 'scratch')
  const grace = valueAt(spec, 'terminationGracePeriodSeconds')
  return {
    role,
    argv: [role, ...rest.map(toLocal), ...overrides(input)],
    environment: environmentOf(container, input, toLocal),
    files: filesOf(spec, mounts, input),
    dataFolders: claims.map((mount) => mount.folder),
    scratchFolders: scratch.map((mount) => mount.folder),
    dataFolder: (claims[0] ?? scratch[0])?.folder ?? '',
    stopGraceMs: (typeof grace === 'number' ? grace : DEFAULT_GRACE_SECONDS) * 1000,
  }
}

/** Flags are stronger than the file, which is shared by pods that have one machine each elsewhere. */
function overrides({ ports, bindHost }: PodPlanInput): readonly string[] {
  const entries = {
    bindAddress: bindHost,
    listenPort: ports.remoting,
    metricsPromExporterHost: bindHost,
    metricsPromExporterPort: ports.admin,
  }
  return Object.entries(entries).flatMap(([key, value]) => ['-p', `${key}=${value}`])
}

function mountsOf(spec: unknown, container: unknown, input: PodPlanInput): readonly Mount[] {
  const { layout, claims } = input
  const volumes = new Map(listAt(spec, 'volumes').map((volume) => [text(volume, 'name'), volume]))
  return listAt(container, 'volumeMounts').map((entry): Mount => {
    const name = text(entry, 'name')
    const mountPath = text(entry, 'mountPath').replace(/\/+$/, '')
    if (claims.includes(name)) return { mountPath, kind: 'claim', folder: layout.claimFolder(name) }
    const volume = volumes.get(name)
    if (valueAt(volume, 'configMap') !== undefined) {
      return { mountPath, kind: 'config', folder: layout.configFolder(name) }
    }
    if (valueAt(volume, 'emptyDir') !== undefined) {
      return { mountPath, kind: 'scratch', folder: layout.scratchFolder(name) }
    }
    throw new Error(`${input.podName}: volume '${name}' is of a kind that cannot be had here`)
  })
}

/** A path below a mount, as it is on this machine; other texts stay as they are. */
function localPath(text: string, mounts: readonly Mount[]): string {
  const longestFirst = [...mounts].sort((a, b) => b.mountPath.length - a.mountPath.length)
  for (const { mountPath, folder } of longestFirst) {
    if (text === mountPath) return folder
    if (text.startsWith(`${mountPath}/`)) return path.join(folder, text.slice(mountPath.length))
  }
  return text
}

function filesOf(
  spec: unknown,
  mounts: readonly Mount[],
  { configMap, layout }: PodPlanInput,
): readonly PlannedFile[] {
  const files: PlannedFile[] = []
  for (const volume of listAt(spec, 'volumes')) {
    const source = valueAt(volume, 'configMap')
    if (source === undefined) continue
    const folder = layout.configFolder(text(volume, 'name'))
    const data = configMap(text(source, 'name'))?.data ?? {}
    for (const [name, content] of Object.entries(data)) {
      const lines = content.split('\n').map((line) => localLine(line, mounts))
      files.push({ path: path.join(folder, name), content: lines.join('\n') })
    }
  }
  return files
}

/** `key=/data/store` of a properties file. */
function localLine(line: string, mounts: readonly Mount[]): string {
  const at = line.indexOf('=')
  if (at < 0) return line
  return `${line.slice(0, at + 1)}${localPath(line.slice(at + 1).trim(), mounts)}`
}

function environmentOf(
  container: unknown,
  input: PodPlanInput,
  toLocal: (text: string) => string,
): Readonly<Record<string, string>> {
  const environment: Record<string, string> = {}
  for (const entry of listAt(container, 'env')) {
    const name = text(entry, 'name')
    if (name === '' || DROPPED_VARIABLES.has(name)) continue
    const fieldRef = valueAt(entry, 'valueFrom', 'fieldRef')
    const secretKeyRef = valueAt(entry, 'valueFrom', 'secretKeyRef')
    environment[name] =
      fieldRef !== undefined
        ? fieldOf(text(fieldRef, 'fieldPath'), input)
        : secretKeyRef !== undefined
          ? secretText(secretKeyRef, input)
          : toLocal(expanded(text(entry, 'value'), environment))
  }
  return environment
}

function secretText(reference: unknown, { secret, podName }: PodPlanInput): string {
  const [name, key] = [text(reference, 'name'), text(reference, 'key')]
  const value = secret(name)?.data?.[key]
  if (value === undefined) throw new Error(`${podName}: there is no Secret ${name} with ${key}`)
  return Buffer.from(value, 'base64').toString('utf8')
}

/** `$(NAME)` of a variable that stands before; others stay as they are. */
function expanded(value: string, environment: Readonly<Record<string, string>>): string {
  return value.replaceAll(/\$\(([A-Za-z_][A-Za-z0-9_]*)\)/g, (whole, name: string) => {
    return Object.hasOwn(environment, name) ? (environment[name] ?? '') : whole
  })
}

function fieldOf(field: string, { podName, namespace, podIp }: PodPlanInput): string {
  switch (field) {
    case 'metadata.name':
      return podName
    case "metadata.labels['apps.kubernetes.io/pod-index']":
      return podName.slice(podName.lastIndexOf('-') + 1)
    case 'metadata.namespace':
      return namespace
    case 'status.podIP':
    case 'status.hostIP':
      return podIp
    default:
      return ''
  }
}

/** A text that is absent is empty. */
function text(value: unknown, name: string): string {
  return textAt(value, name) ?? ''
}
