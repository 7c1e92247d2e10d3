/** The schema of RocketMQCluster's status. */
import { CONDITION_TYPES, GROUP_PHASES } from './cluster-types.ts'
import type {
  ClusterStatus,
  Condition,
  DrainStatus,
  GroupStatus,
  MemberStatus,
} from './cluster-types.ts'
import {
  choiceField,
  flagField,
  integerField,
  listField,
  objectField,
  optional,
  textField,
  textListField,
} from './schema.ts'
import type { Field } from './schema.ts'

const COUNT = { min: 0, max: Number.MAX_SAFE_INTEGER }

const conditionField: Field<Condition> = objectField<Condition>(
  {
    type: choiceField(CONDITION_TYPES, { description: 'Which condition.', isRequired: true }),
    status: choiceField(['True', 'False', 'Unknown'], {
      description: 'Whether it holds.',
      isRequired: true,
    }),
    reason: textField({ description: 'Why, in one word of a closed list.', isRequired: true }),
    message: textField({ description: 'Why, for people.', isRequired: true }),
    observedGeneration: integerField({
      description: 'The generation of the spec that this is about.',
      isRequired: true,
      ...COUNT,
    }),
    lastTransitionTime: textField({
      description: 'When `status` last changed.',
      isRequired: true,
    }),
  },
  { description: 'One condition.' },
)

const drainField: Field<DrainStatus> = objectField<DrainStatus>(
  {
    startedAt: textField({ description: 'When writes were disabled.', isRequired: true }),
    remainingMessages: optional(
      integerField({
        description: 'Messages that are not consumed yet; absent: unknown.',
        ...COUNT,
      }),
    ),
    etaSeconds: optional(
      integerField({
        description: 'Remaining messages at the present speed; absent: unknown or standing still.',
        ...COUNT,
      }),
    ),
    blockedBy: textListField({
      description: 'What holds the group back.',
      fallback: [],
      maxItems: 20,
    }),
    broadcastGroups: textListField({
      description:
        'Broadcasting consumer groups: their progress is at the clients and is not waited for.',
      fallback: [],
      maxItems: 20,
    }),
  },
  { description: 'Progress of a group that leaves.' },
)

const memberField: Field<MemberStatus> = objectField<MemberStatus>(
  {
    id: integerField({ description: "The pod's ordinal.", isRequired: true, ...COUNT }),
    pod: textField({ description: 'Its pod.', isRequired: true }),
    role: optional(
      textField({
        description: 'leader, follower, candidate, learner or joining; absent: unknown.',
      }),
    ),
    ready: flagField({ description: 'Whether its pod is ready.', fallback: false }),
    lagBytes: optional(
      integerField({ description: "How far it is behind the leader's log.", ...COUNT }),
    ),
  },
  { description: 'One member of a group.' },
)

const groupField: Field<GroupStatus> = objectField<GroupStatus>(
  {
    name: textField({ description: 'The broker name: `<cluster>-broker-<n>`.', isRequired: true }),
    phase: choiceField(GROUP_PHASES, { description: 'Where the group stands.', isRequired: true }),
    message: textField({ description: 'What it waits for; empty when for nothing.', fallback: '' }),
    leader: optional(textField({ description: 'The pod that takes writes; absent: unknown.' })),
    term: optional(integerField({ description: 'The term of the leader.', ...COUNT })),
    replicas: integerField({ description: 'Members that there are.', fallback: 0, ...COUNT }),
    ready: integerField({ description: 'Ready members.', fallback: 0, ...COUNT }),
    caughtUp: integerField({ description: 'Members with the whole log.', fallback: 0, ...COUNT }),
    inSync: textField({ description: 'Members in sync, of all.', fallback: '' }),
    members: listField(memberField, {
      description: 'The members.',
      fallback: [],
      maxItems: 16,
      key: 'id',
    }),
    revision: optional(textField({ description: 'Revision of the oldest pod.' })),
    desiredRevision: textField({
      description: 'Revision that every pod shall have.',
      fallback: '',
    }),
    storage: objectField<GroupStatus['storage']>(
      {
        requested: textField({ description: 'Size of each volume in the spec.', fallback: '' }),
        actual: optional(textField({ description: 'Size of the volumes that there are.' })),
        usedPercent: optional(
          integerField({ description: 'Use of the fullest volume.', ...COUNT }),
        ),
      },
      { description: 'The volumes.', fallback: {} },
    ),
    drain: optional(drainField),
  },
  { description: 'One broker group.' },
)

export const CLUSTER_STATUS_FIELD: Field<ClusterStatus> = objectField<ClusterStatus>(
  {
    observedGeneration: integerField({
      description: 'The generation of the spec that this status is about.',
      fallback: 0,
      ...COUNT,
    }),
    conditions: listField(conditionField, {
      description:
        'Ready: all that the spec says is so. Available: messages can be sent and received.',
      fallback: [],
      maxItems: 20,
      key: 'type',
    }),
    version: optional(textField({ description: 'The version that every pod runs.' })),
    brokerGroups: integerField({ description: 'Groups that there are.', fallback: 0, ...COUNT }),
    membersInSync: textField({
      description: 'Members in sync, of those that there shall be.',
      fallback: '',
    }),
    selector: textField({ description: 'Label selector of the broker pods.', fallback: '' }),
    nameServers: textListField({
      description: 'Addresses of the name servers.',
      fallback: [],
      maxItems: 7,
    }),
    nameServersReady: textField({ description: 'Ready of wanted name servers.', fallback: '' }),
    usedPercent: optional(integerField({ description: 'Use of the fullest volume.', ...COUNT })),
    groups: listField(groupField, {
      description: 'The broker groups.',
      fallback: [],
      maxItems: 128,
      key: 'name',
    }),
    plan: textListField({ description: 'The next steps, in order.', fallback: [], maxItems: 20 }),
  },
  { description: 'What the cluster is.' },
)
