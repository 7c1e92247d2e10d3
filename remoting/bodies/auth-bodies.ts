/** Users and permissions as they travel (UserInfo, AclInfo): the bodies of request codes 3001 to 3010. */
import { formatFastjson, parseFastjson } from './fastjson.ts'
import { asObject, isJsonArray, listMember, optionalText, textList } from './json-members.ts'
import type { BodyRecord, JsonObject, JsonValue } from './fastjson.ts'

/** What an answer says of a user, or a request sets; members that are null are not said. */
export interface UserInfo {
  readonly username: string | null
  /** Brokers tell it to super users only. */
  readonly password: string | null
  /** `Super` or `Normal`. */
  readonly userType: string | null
  /** `enable` or `disable`. */
  readonly userStatus: string | null
}

/** The policies of one subject, `User:<username>`. */
export interface AclInfo {
  readonly subject: string | null
  readonly policies: readonly PolicyInfo[]
}

export interface PolicyInfo {
  /** `Custom` or `Default`, which counts where no custom entry does; null: `Custom`. */
  readonly policyType: string | null
  readonly entries: readonly PolicyEntryInfo[]
}

export interface PolicyEntryInfo {
  /** `*`, or `Cluster:`, `Topic:` or `Group:` with a name, with a prefix and `*`, or with `*`. */
  readonly resource: string | null
  /** Of `All`, `Pub`, `Sub`, `Create`, `Update`, `Delete`, `Get`, `List`. */
  readonly actions: readonly string[]
  /** Addresses and CIDR ranges; none: from everywhere. */
  readonly sourceIps: readonly string[]
  /** `Allow` or `Deny`. */
  readonly decision: string | null
}

export function encodeUserInfo(user: UserInfo): Buffer {
  return formatFastjson(userRecord(user))
}

/** Throws `RemotingError` (`malformed`). */
export function decodeUserInfo(body: Buffer): UserInfo {
  return userOf(asObject(parseFastjson(body), 'UserInfo'))
}

export function encodeUserList(users: readonly UserInfo[]): Buffer {
  return formatFastjson(users.map(userRecord))
}

/** An empty body is no users. */
export function decodeUserList(body: Buffer): readonly UserInfo[] {
  return itemsOf(body).map((item) => userOf(asObject(item, 'UserInfo')))
}

export function encodeAclInfo(acl: AclInfo): Buffer {
  return formatFastjson(aclRecord(acl))
}

/** Throws `RemotingError` (`malformed`). */
export function decodeAclInfo(body: Buffer): AclInfo {
  return aclInfoOf(asObject(parseFastjson(body), 'AclInfo'))
}

export function encodeAclList(acls: readonly AclInfo[]): Buffer {
  return formatFastjson(acls.map(aclRecord))
}

/** An empty body is no policies. */
export function decodeAclList(body: Buffer): readonly AclInfo[] {
  return itemsOf(body).map((item) => aclInfoOf(asObject(item, 'AclInfo')))
}

/** The members of a record, for tables that hold it too. */
export function aclRecord({ subject, policies }: AclInfo): BodyRecord {
  return {
    subject,
    policies: policies.map(({ policyType, entries }) => ({
      policyType,
      entries: entries.map(({ resource, actions, sourceIps, decision }) => ({
        resource,
        actions,
        sourceIps: sourceIps.length === 0 ? null : sourceIps,
        decision,
      })),
    })),
  }
}

export function aclInfoOf(json: JsonObject): AclInfo {
  return {
    subject: optionalText(json, 'subject'),
    policies: listMember(json, 'policies').map((item) => policyOf(asObject(item, 'policies'))),
  }
}

export function userRecord(user: UserInfo): BodyRecord {
  const { username, password, userType, userStatus } = user
  return { username, password, userType, userStatus }
}

export function userOf(json: JsonObject): UserInfo {
  return {
    username: optionalText(json, 'username'),
    password: optionalText(json, 'password'),
    userType: optionalText(json, 'userType'),
    userStatus: optionalText(json, 'userStatus'),
  }
}

function policyOf(json: JsonObject): PolicyInfo {
  return {
    policyType: optionalText(json, 'policyType'),
    entries: listMember(json, 'entries').map((item) => entryOf(asObject(item, 'entries'))),
  }
}

function entryOf(json: JsonObject): PolicyEntryInfo {
  return {
    resource: optionalText(json, 'resource'),
    actions: textList(json, 'actions'),
    sourceIps: textList(json, 'sourceIps'),
    decision: optionalText(json, 'decision'),
  }
}

function itemsOf(body: Buffer): readonly JsonValue[] {
  const json = parseFastjson(body)
  return isJsonArray(json) ? json : []
}
