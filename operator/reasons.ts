/** The closed list of reasons that conditions carry. */

export const CONDITION_REASONS = {
  AsSpecified: 'Everything is as the spec says.',
  Steps: 'Steps remain; `status.plan` names them.',
  Starting: 'Pods start or brokers register.',
  NoWritableGroup: 'No broker group takes messages, or no name server is ready.',
  Writable: 'At least one group takes messages and at least one name server is ready.',
  Unknown: 'What the servers say of themselves is not known.',
  Rolling: 'Pods are replaced one at a time.',
  Joining: 'New groups get their topics before they take messages.',
  ScalingDown: 'A group is drained before it is removed.',
  DrainBlocked: 'A drain took longer than `drain.timeoutSeconds` and waits.',
  NotScalingDown: 'No group leaves.',
  NotPaused: 'The operator acts.',
  PausedBySpec: 'Only status is written.',
  Hibernated: 'There are no pods, as the spec says.',
  Hibernating: 'Pods are stopping.',
  NotHibernated: 'The cluster runs.',
  Healthy: 'Nothing is wrong.',
  RollStalled: 'A restarted pod does not become ready; the roll has stopped.',
  ImagePullBackOff: 'The image of a pod cannot be pulled.',
  PodFailing: 'A container of a pod keeps failing.',
  PodNotReady: 'A pod is not ready.',
  NameConflict: 'An object of a needed name belongs to someone else.',
  ApplyFailed: 'The API server refused an object.',
  ActFailed: 'A step failed and is tried again.',
  UnsupportedReplicas: 'This release runs groups of one member; nothing is changed.',
  InvalidSpec: 'The spec cannot be used; nothing is changed.',
} as const

export type ConditionReason = keyof typeof CONDITION_REASONS
