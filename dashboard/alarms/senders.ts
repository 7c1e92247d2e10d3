/** The senders of the receivers that are configured. */
import type { Disk, Timers } from '../../common/ports.ts'
import { mailSender } from './mail-sender.ts'
import type { Receiver } from './receiver-config.ts'
import { readSecret, sentenceOf } from './sender.ts'
import type { Sender } from './sender.ts'
import { webhookSender } from './webhook-sender.ts'

/** By the names of the receivers. */
export function sendersOf(
  receivers: readonly Receiver[],
  disk: Disk,
  timers: Timers,
): ReadonlyMap<string, Sender> {
  return new Map(
    receivers.map(({ name, target }): readonly [string, Sender] => [
      name,
      target.type === 'webhook'
        ? webhookSender(target, disk, timers)
        : mailSender(target, disk, timers),
    ]),
  )
}

/** A sentence for each file of a receiver that cannot be read. */
export function missingFiles(receivers: readonly Receiver[], disk: Disk): readonly string[] {
  return receivers.flatMap(({ target }, index) =>
    filesOf(target).flatMap(([field, path]) => {
      try {
        readSecret(disk, path)
        return []
      } catch (error) {
        return [`receivers[${index}].${target.type}.${field}: ${sentenceOf(error, [])}`]
      }
    }),
  )
}

function filesOf(target: Receiver['target']): readonly (readonly [string, string])[] {
  const files: (readonly [string, string | null])[] =
    target.type === 'webhook'
      ? [
          ['urlFile', target.urlFile],
          ...Object.entries(target.headerFiles).map(
            ([name, path]) => [`headerFiles.${name}`, path] as const,
          ),
        ]
      : [['passwordFile', target.passwordFile]]
  files.push(['caFile', target.caFile])
  return files.flatMap(([field, path]) => (path === null ? [] : [[field, path] as const]))
}
