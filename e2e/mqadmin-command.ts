/** A command of the official mqadmin, what it is asked and what its answer must show. */
import type { Feature } from './features.ts'
import { REFUSED_COMMANDS } from '../tools/admin/legacy/refused.ts'

/** What the commands are about; made by the test with the official Java client. */
export interface MqadminWorld {
  readonly cluster: string
  readonly brokerName: string
  /** host:port of the broker. */
  readonly broker: string
  /** With messages of which `message` is one; consumed by `group`, whose one member is online, and produced to by `producerGroup`. */
  readonly topic: string
  readonly group: string
  readonly producerGroup: string
  readonly message: {
    readonly uniqueId: string
    readonly offsetId: string
    readonly key: string
    readonly queueId: number
    readonly queueOffset: number
  }
  /** Unique id of a message that was sent with a trace. */
  readonly tracedId: string
  /** Of the member of `group`. */
  readonly clientId: string
  /** Where files may be written. */
  readonly folder: string
}

/**
 * `works`: answers as against the Java servers. `refused`: Gantry does not have it, or not yet, and the answer says why.
 * `does not apply`: about something that the Java servers do not have either in their ordinary form.
 */
export type Verdict = 'works' | 'refused' | 'does not apply'

export interface MqadminRun {
  readonly args: (world: MqadminWorld) => readonly string[]
  /** What must be found in the output; for other verdicts than `works` in the errors as well. */
  readonly shows: (world: MqadminWorld) => readonly (RegExp | string)[]
  /** The command repeats itself until it is stopped. */
  readonly isEndless?: boolean
}

export interface MqadminCommand {
  readonly name: string
  readonly verdict: Verdict
  readonly note?: string
  readonly runs: readonly MqadminRun[]
}

/** The features that a command shows, beside the tool itself. */
export function featuresOf(name: string): readonly Feature[] {
  return FEATURES_OF.filter(([, names]) => names.includes(name)).map(([feature]) => feature)
}

const FEATURES_OF: readonly (readonly [Feature, readonly string[]])[] = [
  ['A3', ['clusterList', 'brokerStatus']],
  [
    'A4',
    [
      ...['updateTopic', 'deleteTopic', 'updateTopicPerm', 'topicRoute', 'topicStatus'],
      ...['topicClusterList', 'topicList'],
    ],
  ],
  ['A5', ['updateSubGroup', 'getConsumerConfig', 'deleteSubGroup']],
  ['A6', ['consumerProgress', 'consumerStatus', 'consumerConnection', 'producerConnection']],
  ['A7', ['updateBrokerConfig', 'getBrokerConfig']],
  ['A8', ['updateNamesrvConfig', 'getNamesrvConfig', 'updateKvConfig', 'deleteKvConfig']],
  ['A9', ['sendMessage', 'consumeMessage', 'printMsg', 'printMsgByQueue']],
  ['A10', ['queryMsgById']],
  ['A12', ['exportMetadata', 'exportConfigs', 'exportMetrics']],
  ['A13', ['statsAll']],
]

export type Args = MqadminRun['args']
type Shows = MqadminRun['shows']

export function runOf(args: Args, shows: Shows): MqadminRun {
  return { args, shows }
}

export function works(name: string, ...runs: readonly MqadminRun[]): MqadminCommand {
  return { name, verdict: 'works', runs }
}

/** With the reason that `gantry admin` gives. */
export function refused(name: string, args: Args, shows: RegExp): MqadminCommand {
  return withReason(
    name,
    'refused',
    runOf(args, () => [shows]),
  )
}

export function notApplicable(name: string, args: Args, shows: RegExp): MqadminCommand {
  return withReason(
    name,
    'does not apply',
    runOf(args, () => [shows]),
  )
}

function withReason(name: string, verdict: Verdict, run: MqadminRun): MqadminCommand {
  const found = REFUSED_COMMANDS.find((command) => command.name === name)
  if (found === undefined) throw new Error(`gantry admin does not refuse ${name}`)
  return { name, verdict, note: found.reason, runs: [run] }
}

export const toBroker: Args = ({ broker }) => ['-b', broker]
