import fc from 'fast-check'
import { expect, test } from 'vitest'
import { objectNames, specOf, World } from './testing.ts'
import { Passes } from './testing-passes.ts'

type Op =
  | { readonly type: 'groups'; readonly count: number }
  | { readonly type: 'config'; readonly live: number; readonly restart: number }
  | { readonly type: 'version'; readonly patch: number }
  | { readonly type: 'nameServers'; readonly count: number }
  | { readonly type: 'crash'; readonly afterCalls: number }
  | { readonly type: 'kill'; readonly pod: number }
  | { readonly type: 'hold'; readonly isFull: boolean }
  | { readonly type: 'silence'; readonly fact: string }
  | { readonly type: 'wait'; readonly seconds: number }

const groups = fc.record({
  type: fc.constant('groups' as const),
  count: fc.integer({ min: 1, max: 3 }),
})
const hold = fc.record({ type: fc.constant('hold' as const), isFull: fc.boolean() })
const wait = fc.record({
  type: fc.constant('wait' as const),
  seconds: fc.integer({ min: 1, max: 240 }),
})

// Drains take longest to come to the point: they are asked for most often, and given time.
const someOp: fc.Arbitrary<Op> = fc.oneof(
  { weight: 3, arbitrary: groups },
  { weight: 2, arbitrary: hold },
  { weight: 4, arbitrary: wait },
  fc.record({
    type: fc.constant('config' as const),
    live: fc.integer({ min: 1, max: 3 }),
    restart: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({ type: fc.constant('version' as const), patch: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ type: fc.constant('nameServers' as const), count: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ type: fc.constant('crash' as const), afterCalls: fc.integer({ min: 0, max: 12 }) }),
  fc.record({ type: fc.constant('kill' as const), pod: fc.nat(5) }),
  fc.record({
    type: fc.constant('silence' as const),
    fact: fc.constantFrom('registrations', 'config', 'drain', 'metadata', 'raft', 'store'),
  }),
)

/** Rare among random ones. */
const HISTORIES: [Op[]][] = [
  [
    [
      { type: 'hold', isFull: true },
      { type: 'groups', count: 1 },
      { type: 'wait', seconds: 240 },
      { type: 'groups', count: 2 },
    ],
  ],
  [
    [
      { type: 'version', patch: 1 },
      { type: 'wait', seconds: 30 },
      { type: 'kill', pod: 0 },
      { type: 'crash', afterCalls: 1 },
      { type: 'groups', count: 1 },
      { type: 'wait', seconds: 200 },
    ],
  ],
]

interface Wish {
  groups: number
  live: number
  restart: number
  patch: number
  nameServers: number
}

/**
 * Goal: whatever is asked for, whatever fails and wherever the operator dies, the rules hold at every single call and the cluster ends as asked.
 * Method: random histories on the small world, with the rules checked before each call, then quiet until Ready.
 */
test('random histories with crashes keep every rule and end as the spec says', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(someOp, { minLength: 1, maxLength: 12 }), async (ops) => {
      const world = new World()
      const wish: Wish = { groups: 2, live: 1, restart: 1, patch: 0, nameServers: 2 }
      const rules = new Rules(world)
      put(world, wish)
      await rules.passes.run(30_000)
      for (const op of ops) {
        take(world, rules, wish, op)
        await rules.passes.run(op.type === 'wait' ? op.seconds * 1000 : 5_000)
      }

      world.unreachable.clear()
      for (const volume of world.volumes.values()) volume.lags = []
      rules.passes.crashIn = null
      world.restartOperator()
      const isReady = await world.until(() => world.conditionOf('Ready') === 'True', 3_600_000)
      const before = world.calls.length
      await world.pass()

      expect(isReady).toBe(true)
      expect(rules.broken).toEqual([])
      expect(world.calls.slice(before)).toEqual([])
      expectAsWished(world, wish)
    }),
    { numRuns: 12, seed: 20_261_121, examples: HISTORIES },
  )
}, 120_000)

function put(world: World, wish: Wish): void {
  const config = {
    shortPollingTimeMills: String(wish.live * 100),
    registerNameServerPeriod: String(wish.restart * 10_000),
  }
  const drain = { settleSeconds: 35 }
  const others = { version: `0.1.${wish.patch}`, nameServer: { replicas: wish.nameServers } }
  world.put(specOf({ groups: wish.groups, config, drain }, others))
}

function take(world: World, rules: Rules, wish: Wish, op: Op): void {
  switch (op.type) {
    case 'groups':
      wish.groups = op.count
      break
    case 'config':
      wish.live = op.live
      wish.restart = op.restart
      break
    case 'version':
      wish.patch = op.patch
      break
    case 'nameServers':
      wish.nameServers = op.count
      break
    case 'crash':
      rules.passes.crashIn = op.afterCalls
      return
    case 'kill': {
      const pods = objectNames(world, 'Pod')
      const pod = world.find('Pod', pods[op.pod % Math.max(pods.length, 1)] ?? '')
      if (pod !== null) world.kill(pod)
      return
    }
    case 'hold':
      for (const volume of world.volumes.values()) {
        volume.lags = op.isFull
          ? [{ topic: 'Held', consumerGroup: 'G', messages: 1, queueId: 0 }]
          : []
      }
      return
    case 'silence':
      world.unreachable.add(op.fact)
      return
    case 'wait':
      world.unreachable.clear()
      return
  }
  put(world, wish)
}

/** Watches every call of the operator. */
class Rules {
  readonly broken: string[] = []
  readonly passes: Passes
  readonly #world: World
  readonly #acts: Set<string> = new Set()

  constructor(world: World) {
    this.#world = world
    this.passes = new Passes(world)
    world.onCall = (call) => this.#check(call)
    world.onPass = () => this.#acts.clear()
  }

  #check(call: string): void {
    this.passes.countCall()
    const act = actOf(call)
    if (act === null) return
    this.#acts.add(act)
    if (this.#acts.size > 1) this.broken.push(`two acts in a pass: ${[...this.#acts].join(', ')}`)
    const pod = /^evict (prod-broker-\d+)-0$/.exec(call)?.[1]
    if (pod !== undefined) this.#checkEviction(pod)
    const removed = /^delete StatefulSet (.+)$/.exec(call)?.[1]
    if (removed !== undefined) this.#checkRemoval(removed)
  }

  #checkEviction(group: string): void {
    const { brokers, routes } = this.#world
    if (!brokers.has(`${group}-0`)) return
    const serving = objectNames(this.#world, 'StatefulSet').filter((name) => {
      const progress = this.#world.need('StatefulSet', name).metadata.annotations
      return progress?.['rocketmq.gantry.dev/progress']?.includes('"serve"') === true
    })
    const down = serving.filter((name) => name !== group && !brokers.has(`${name}-0`))
    if (down.length > 0) this.broken.push(`${group} restarts while ${down.join(', ')} is down`)
    const open = [...routes].filter(([, known]) => known.get(group) === true)
    if (open.length > 0) this.broken.push(`${group} restarts while clients are sent to it`)
  }

  #checkRemoval(group: string): void {
    const left = this.#world.volumes.get(`data-${group}-0`)?.lags ?? []
    if (left.length > 0) this.broken.push(`${group} is removed with messages in it`)
    const known = [...this.#world.routes.values()].filter((routes) => routes.has(group))
    if (known.length > 0) this.broken.push(`${group} is removed while it is in the routes`)
  }
}

/** Calls to several name servers for one group are one act, and so is one configuration for several brokers. */
function actOf(call: string): string | null {
  const [verb = '', subject = ''] = call.split(' ')
  switch (verb) {
    case 'configure':
      return 'configure'
    case 'wipe':
    case 'open':
    case 'copy':
    case 'unregister':
    case 'evict':
      return `${verb} ${subject}`
    case 'delete':
      return subject === 'StatefulSet' ? call : null
    default:
      return null
  }
}

function expectAsWished(world: World, wish: Wish): void {
  const groups = Array.from({ length: wish.groups }, (_, group) => `prod-broker-${group}`)
  expect(objectNames(world, 'StatefulSet')).toEqual([...groups, 'prod-namesrv'])
  expect([...world.brokers.keys()].sort()).toEqual(groups.map((name) => `${name}-0`))
  expect(world.routes.size).toBe(wish.nameServers)
  for (const routes of world.routes.values()) {
    expect(Object.fromEntries(routes)).toEqual(
      Object.fromEntries(groups.map((name) => [name, true])),
    )
  }
  for (const { config } of world.brokers.values()) {
    expect(config.get('brokerPermission')).toBe('6')
    expect(config.get('shortPollingTimeMills')).toBe(String(wish.live * 100))
    expect(config.get('registerNameServerPeriod')).toBe(String(wish.restart * 10_000))
    expect(config.get('namesrvAddr')?.split(';').length).toBe(wish.nameServers)
  }
}
