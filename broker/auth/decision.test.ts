import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decide } from './decision.ts'
import { addressOf } from './ip-range.ts'
import { ACTIONS } from '../../common/access-names.ts'
import { policiesOf } from './model.ts'
import type { Access } from './decision.ts'
import type { PolicyEntryInfo, PolicyInfo } from '../../remoting/bodies/auth-bodies.ts'

const NAMES = ['a', 'ab', 'abc', 'b']
const HOSTS = ['10.0.0.7', '10.1.0.7', 'fd00::1']
const TYPES = ['Topic', 'Group', 'Cluster'] as const

const resources = fc.oneof(
  fc.constant('*'),
  fc
    .tuple(fc.constantFrom(...TYPES), fc.constantFrom('*', 'a*', 'ab*', ...NAMES))
    .map(([type, name]) => `${type}:${name}`),
)
const entries: fc.Arbitrary<PolicyEntryInfo> = fc.record({
  resource: resources,
  actions: fc.uniqueArray(fc.constantFrom(...ACTIONS), { minLength: 1, maxLength: 3 }),
  sourceIps: fc.uniqueArray(fc.constantFrom('10.0.0.0/16', '10.1.0.7', 'fd00::/8'), {
    maxLength: 2,
  }),
  decision: fc.constantFrom('Allow', 'Deny'),
})
const policies: fc.Arbitrary<PolicyInfo[]> = fc.uniqueArray(
  fc.record({
    policyType: fc.constantFrom('Custom', 'Default'),
    entries: fc.array(entries, { minLength: 1, maxLength: 6 }),
  }),
  { minLength: 1, selector: ({ policyType }) => policyType },
)
const accesses: fc.Arbitrary<Access> = fc.record({
  type: fc.constantFrom(...TYPES),
  name: fc.constantFrom(...NAMES),
  actions: fc.uniqueArray(fc.constantFrom('Pub', 'Sub', 'Get', 'Update'), {
    minLength: 1,
    maxLength: 2,
  }),
})

const IN_RANGE: Readonly<Record<string, readonly string[]>> = {
  '10.0.0.0/16': ['10.0.0.7'],
  '10.1.0.7': ['10.1.0.7'],
  'fd00::/8': ['fd00::1'],
}

/** Asks one rank of resources after the other, from the most exact one to `*`, in words. */
function reference(given: readonly PolicyInfo[], access: Access, host: string): string {
  const { type, name, actions } = access
  const prefixes = Array.from({ length: name.length }, (_, cut) => name.slice(0, name.length - cut))
  const ranks = [
    `${type}:${name}`,
    ...prefixes.map((prefix) => `${type}:${prefix}*`),
    `${type}:*`,
    '*',
  ]
  for (const policyType of ['Custom', 'Default']) {
    const all = given.filter((policy) => policy.policyType === policyType)
    const fitting = all
      .flatMap((policy) => policy.entries)
      .filter((entry) =>
        actions.some((action) => entry.actions.includes(action) || entry.actions.includes('All')),
      )
      .filter(
        ({ sourceIps }) =>
          sourceIps.length === 0 || sourceIps.some((range) => IN_RANGE[range]?.includes(host)),
      )
    for (const rank of ranks) {
      const decisions = fitting
        .filter(({ resource }) => resource === rank)
        .map(({ decision }) => decision)
      if (decisions.includes('Deny')) return 'Deny'
      if (decisions.includes('Allow')) return 'Allow'
    }
  }
  return 'none'
}

test('the most exact entry decides, and Deny between equal ones, as the reference does', () => {
  fc.assert(
    fc.property(policies, accesses, fc.constantFrom(...HOSTS), (given, access, host) => {
      const parsed = policiesOf({ subject: null, policies: given })

      expect(decide(parsed, access, addressOf(host))).toBe(reference(given, access, host))
    }),
    { numRuns: 5000 },
  )
})

test('a name before a prefix, a long prefix before a short one, a prefix before all', () => {
  const allow = (resource: string, decision: string): PolicyEntryInfo => ({
    resource,
    actions: ['Pub'],
    sourceIps: [],
    decision,
  })
  const parsed = policiesOf({
    subject: null,
    policies: [
      {
        policyType: null,
        entries: [
          allow('*', 'Deny'),
          allow('Topic:*', 'Allow'),
          allow('Topic:orders*', 'Deny'),
          allow('Topic:orders-eu*', 'Allow'),
          allow('Topic:orders-eu-test', 'Deny'),
        ],
      },
    ],
  })
  const decisionFor = (type: 'Topic' | 'Group', name: string) =>
    decide(parsed, { type, name, actions: ['Pub'] }, null)

  expect(decisionFor('Group', 'g')).toBe('Deny')
  expect(decisionFor('Topic', 'other')).toBe('Allow')
  expect(decisionFor('Topic', 'orders-us')).toBe('Deny')
  expect(decisionFor('Topic', 'orders-eu-1')).toBe('Allow')
  expect(decisionFor('Topic', 'orders-eu-test')).toBe('Deny')
})
