/** DataVersion (protocol §13.7): tells whether a table has changed; equal in all three members means unchanged. */
import { formatFastjson, parseFastjson } from './fastjson.ts'
import type { BodyRecord, JsonObject } from './fastjson.ts'
import { asObject, integerMember } from './json-members.ts'

export interface DataVersion {
  /** Grows with each mastership; a registration with an older one never replaces a newer one. */
  readonly stateVersion: number
  /** Milliseconds since 1970 of the last change. */
  readonly timestamp: number
  readonly counter: number
}

export const ZERO_DATA_VERSION: DataVersion = { stateVersion: 0, timestamp: 0, counter: 0 }

export function isSameDataVersion(left: DataVersion, right: DataVersion): boolean {
  return (
    left.stateVersion === right.stateVersion &&
    left.timestamp === right.timestamp &&
    left.counter === right.counter
  )
}

export function dataVersionRecord(version: DataVersion): BodyRecord {
  const { stateVersion, timestamp, counter } = version
  return { stateVersion, timestamp, counter }
}

export function dataVersionOf(json: JsonObject): DataVersion {
  return {
    stateVersion: integerMember(json, 'stateVersion', 0),
    timestamp: integerMember(json, 'timestamp', 0),
    counter: integerMember(json, 'counter', 0),
  }
}

export function encodeDataVersion(version: DataVersion): Buffer {
  return formatFastjson(dataVersionRecord(version))
}

export function decodeDataVersion(body: Buffer | string): DataVersion {
  return dataVersionOf(asObject(parseFastjson(body), 'DataVersion'))
}

/** The version after one more change, made at `timestamp`. */
export function nextDataVersion(version: DataVersion, timestamp: number): DataVersion {
  return { stateVersion: version.stateVersion, timestamp, counter: version.counter + 1 }
}
