/** Names, labels, annotations and ports that the objects of a cluster share. */

export const OPERATOR_NAME = 'gantry-operator'
export const BROKER_SLICE_MANAGER = 'gantry-broker'

export const CLUSTER_LABEL = 'rocketmq.gantry.dev/cluster'
export const GROUP_LABEL = 'rocketmq.gantry.dev/group'
export const ROLE_LABEL = 'rocketmq.gantry.dev/role'

/** On objects: hash of what was wanted when they were last applied, to tell drift from a changed wish. */
export const APPLIED_ANNOTATION = 'rocketmq.gantry.dev/applied'
/** On StatefulSets of broker groups: where the group stands, as JSON. */
export const PROGRESS_ANNOTATION = 'rocketmq.gantry.dev/progress'
/** On pods: hash of the pod template. */
export const REVISION_ANNOTATION = 'rocketmq.gantry.dev/revision'
/** On pods: hash of each configuration key, as JSON. */
export const CONFIG_ANNOTATION = 'rocketmq.gantry.dev/config'

/** On clusters, set by people. */
export const PAUSED_ANNOTATION = 'rocketmq.gantry.dev/paused'
export const RESTART_AT_ANNOTATION = 'rocketmq.gantry.dev/restart-at'
export const CONFIRM_DATA_LOSS_ANNOTATION = 'rocketmq.gantry.dev/confirm-data-loss'

export const NAME_SERVER_PORT = 9876
export const BROKER_PORT = 10911
export const BROKER_VIP_PORT = 10909
/** Where the members of a group talk to each other. */
export const PEER_PORT = 40_911
export const ADMIN_PORT = 5557

export type Role = 'namesrv' | 'broker'

export function nameServerName(cluster: string): string {
  return `${cluster}-namesrv`
}

/** The brokerName, StatefulSet and leader Service of a group. */
export function groupName(cluster: string, group: number): string {
  return `${cluster}-broker-${group}`
}

export function membersServiceName(cluster: string, group: number): string {
  return `${groupName(cluster, group)}-members`
}

/** The claim of one member's volume, as the StatefulSet names it. */
export function claimName(group: string, ordinal: number): string {
  return `data-${group}-${ordinal}`
}

/** The Secret with the super users, of a cluster that names none. */
export function usersSecretName(cluster: string): string {
  return `${cluster}-users`
}

export function configMapName(statefulSet: string): string {
  return `${statefulSet}-config`
}

/** What selects the pods of one StatefulSet. */
export function selectorLabels(
  cluster: string,
  role: Role,
  group: number | null,
): Readonly<Record<string, string>> {
  return {
    [CLUSTER_LABEL]: cluster,
    [ROLE_LABEL]: role,
    ...(group === null ? {} : { [GROUP_LABEL]: String(group) }),
  }
}

export function labelsOf(
  cluster: string,
  role: Role,
  group: number | null,
): Readonly<Record<string, string>> {
  return {
    'app.kubernetes.io/name': 'rocketmq',
    'app.kubernetes.io/instance': cluster,
    'app.kubernetes.io/component': role,
    'app.kubernetes.io/managed-by': OPERATOR_NAME,
    ...selectorLabels(cluster, role, group),
  }
}
