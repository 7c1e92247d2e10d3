/** Subscription expressions and the filter that the store applies (protocol §16). */
import { javaHashCode } from '../common/bytes.ts'
import type { MessageFilter } from '../store/types.ts'

export const SUBSCRIBE_ALL = '*'
export const TAG_EXPRESSION = 'TAG'

/** What a subscription selects: everything when both sets are empty. */
export interface TagSelection {
  readonly expression: string
  readonly tags: readonly string[]
  /** Java hash codes of the tags. */
  readonly codes: readonly number[]
}

/** True for the tag language, which an absent type means. */
export function isTagExpression(expressionType: string | null): boolean {
  return expressionType === null || expressionType === '' || expressionType === TAG_EXPRESSION
}

/** Reads `a || b`; null, blank and `*` select everything. Returns null for an expression without a single tag. */
export function parseTagExpression(expression: string | null): TagSelection | null {
  const trimmed = expression?.trim() ?? ''
  if (trimmed === '' || trimmed === SUBSCRIBE_ALL) {
    return { expression: SUBSCRIBE_ALL, tags: [], codes: [] }
  }
  const tags = trimmed
    .split('||')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '')
  if (tags.length === 0) return null
  return { expression: trimmed, tags, codes: tags.map(javaHashCode) }
}

/** The store's filter for a set of tag hashes; null when everything passes. Equal hashes of other tags are sorted out by the client. */
export function tagFilter(expression: string, codes: Iterable<number>): MessageFilter | null {
  if (expression.trim() === SUBSCRIBE_ALL || expression.trim() === '') return null
  const set = new Set(codes)
  if (set.size === 0) return null
  return { matchesTagsCode: (tagsCode) => set.has(tagsCode), matchesProperties: null }
}
