/** The closed list of reasons that Events carry. */

export const EVENT_REASONS = {
  DriftRepaired:
    'An object of the cluster was changed or deleted by someone else and is as it should be again.',
  ConfigPushed: 'Live configuration keys were set in running brokers.',
  WritesDisabled: 'Write permission of a group was taken away at the name servers.',
  WritesEnabled: 'Write permission of a group was given back at the name servers.',
  MetadataCopied: 'Topics and consumer groups were copied to a new broker group.',
  PodEvicted: 'A pod was evicted so that it restarts in its new form.',
  LeadershipTransferred: 'A leader handed over before its restart.',
  MemberRemoved: 'A member was taken out of the configuration of its group.',
  VolumeDeleted: 'The volume of a member was deleted, as the spec allows.',
  VolumeExpanding: 'The volumes of a group were asked to grow.',
  StatefulSetRenewed: 'A StatefulSet was made anew around its running pods.',
  LeaderChanged: 'Another member leads a group.',
  QuorumLost: 'A group has no leader: too few of its members run.',
  NodeGone: 'A pod cannot be stopped, since its node does not answer.',
  GroupUnregistered: 'A drained group was unregistered at the name servers.',
  GroupRemoved: 'A drained group was removed.',
  GroupPhaseChanged: 'A broker group entered another phase.',
  DataLossConfirmed: 'A group is removed with unread messages, as its annotation allows.',
  ObjectPruned: 'An object which the spec no longer asks for was deleted.',
  RollStalled: 'A restarted pod does not become ready; the roll has stopped.',
  NameConflict: 'An object of a needed name belongs to someone else.',
  ApplyFailed: 'The API server refused an object.',
  ActFailed: 'A step failed and is tried again.',
  SecretMade: 'A Secret with new super users was made.',
  SecretNotUsable: 'The Secret with the super users is missing, malformed or may not be read.',
  InvalidSpec: 'The spec cannot be used.',
} as const

export type EventReason = keyof typeof EVENT_REASONS
