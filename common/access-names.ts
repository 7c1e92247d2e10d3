/** What a user of a broker is, what it may do, and how policies say so: the words of RocketMQ's ACL 2.0. */
export const USER_TYPES = ['Super', 'Normal'] as const
export type UserType = (typeof USER_TYPES)[number]

export const USER_STATUSES = ['enable', 'disable'] as const
export type UserStatus = (typeof USER_STATUSES)[number]

export const ACTIONS = ['All', 'Pub', 'Sub', 'Create', 'Update', 'Delete', 'Get', 'List'] as const
export type Action = (typeof ACTIONS)[number]

/** `Default` policies count where no `Custom` entry matches. */
export const POLICY_TYPES = ['Custom', 'Default'] as const
export type PolicyType = (typeof POLICY_TYPES)[number]

export const DECISIONS = ['Allow', 'Deny'] as const
export type Decision = (typeof DECISIONS)[number]

/** What a change of a user sets; the rest stays. */
export interface UserChange {
  readonly password?: string
  readonly userType?: UserType
  readonly userStatus?: UserStatus
}

/** How policies name a user. */
export function subjectOf(username: string): string {
  return `User:${username}`
}

/** The user's name in `User:<username>`, or null. */
export function usernameIn(subject: string): string | null {
  const [type = '', ...rest] = subject.split(':')
  const username = rest.join(':')
  return type.toLowerCase() === 'user' && username !== '' ? username : null
}
