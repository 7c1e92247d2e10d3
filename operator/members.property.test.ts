import fc from 'fast-check'
import { expect, test } from 'vitest'
import { valueAt } from './json.ts'
import { majorityOf } from './members.ts'
import { objectNames, specOf, World } from './testing.ts'
import { Passes } from './testing-passes.ts'

type Op =
  | { readonly type: 'members'; readonly count: 1 | 3 | 5 }
  | { readonly type: 'groups'; readonly count: number }
  | { readonly type: 'version'; readonly patch: number }
  | { readonly type: 'size'; readonly gib: number }
  | { readonly type: 'crash'; readonly afterCalls: number }
  | { readonly type: 'kill'; readonly pod: number }
  | { readonly type: 'elect'; readonly member: number }
  | { readonly type: 'loseVolume'; readonly pod: number }
  | { readonly type: 'silence'; readonly fact: string }
  | { readonly type: 'wait'; readonly seconds: number }

const someOp: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('members' as const),
      count: fc.constantFrom(1 as const, 3 as const, 5 as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('wait' as const),
      seconds: fc.integer({ min: 1, max: 120 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('version' as const),
      patch: fc.integer({ min: 0, max: 3 }),
    }),
  },
  fc.record({ type: fc.constant('groups' as const), count: fc.integer({ min: 1, max: 2 }) }),
  fc.record({ type: fc.constant('size' as const), gib: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ type: fc.constant('crash' as const), afterCalls: fc.integer({ min: 0, max: 12 }) }),
  fc.record({ type: fc.constant('kill' as const), pod: fc.nat(9) }),
  fc.record({ type: fc.constant('elect' as const), member: fc.nat(4) }),
  fc.record({ type: fc.constant('loseVolume' as const), pod: fc.nat(9) }),
  fc.record({
    type: fc.constant('silence' as const),
    fact: fc.constantFrom('registrations', 'config', 'raft', 'store'),
  }),
)

/** Rare among random ones: a change of mind in the middle of each kind of change. */
const HISTORIES: [Op[]][] = [
  // A pod that waits for a lost volume is replaced for a new version, and waits again.
  [
    [
      { type: 'loseVolume', pod: 2 },
      { type: 'members', count: 5 },
      { type: 'kill', pod: 3 },
      { type: 'version', patch: 3 },
    ],
  ],
  [
    [
      { type: 'members', count: 5 },
      { type: 'wait', seconds: 6 },
      { type: 'members', count: 1 },
      { type: 'wait', seconds: 5 },
      { type: 'members', count: 3 },
    ],
  ],
  [
    [
      { type: 'version', patch: 1 },
      { type: 'wait', seconds: 60 },
      { type: 'elect', member: 2 },
      { type: 'kill', pod: 1 },
      { type: 'crash', afterCalls: 0 },
      { type: 'version', patch: 2 },
      { type: 'loseVolume', pod: 0 },
    ],
  ],
]

interface Wish {
  groups: number
  members: 1 | 3 | 5
  patch: number
  gib: number
}

/**
 * Goal: whatever is asked for, whatever fails and wherever the operator dies, no group loses its majority by our hand, and all ends as asked.
 * Method: random histories on the small world of replicated groups, with the rules checked before each call, then quiet until Ready.
 */
test('groups of several members keep their majority through random histories, and end as the spec says', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(someOp, { minLength: 1, maxLength: 10 }), async (ops) => {
      const world = new World()
      const wish: Wish = { groups: 1, members: 3, patch: 0, gib: 1 }
      const rules = new Rules(world)
      put(world, wish)
      await rules.passes.run(30_000)
      for (const op of ops) {
        take(world, rules, wish, op)
        await rules.passes.run(op.type === 'wait' ? op.seconds * 1000 : 4_000)
      }

      world.unreachable.clear()
      rules.passes.crashIn = null
      world.restartOperator()
      const isReady = await world.until(() => world.conditionOf('Ready') === 'True', 3_600_000)
      const before = world.calls.length
      await world.pass()

      const plan = JSON.stringify(valueAt(world.cluster.status, 'plan'))
      expect(rules.all()).toEqual([])
      expect(isReady, `still to do: ${plan}`).toBe(true)
      expect(world.calls.slice(before)).toEqual([])
      expectAsWished(world, wish)
    }),
    { numRuns: 14, seed: 20_261_122, examples: HISTORIES },
  )
}, 240_000)

function put(world: World, wish: Wish): void {
  const broker = {
    groups: wish.groups,
    replicasPerGroup: wish.members,
    storage: { size: `${wish.gib}Gi`, retention: { whenScaled: 'Delete' } },
    drain: { settleSeconds: 35 },
    pvcRecovery: { enabled: true, nodeGoneAfterSeconds: 60 },
  }
  world.put(specOf(broker, { version: `0.1.${wish.patch}`, nameServer: { replicas: 1 } }))
}

function take(world: World, rules: Rules, wish: Wish, op: Op): void {
  switch (op.type) {
    case 'members':
      wish.members = op.count
      break
    case 'groups':
      wish.groups = op.count
      break
    case 'version':
      wish.patch = op.patch
      break
    case 'size':
      wish.gib = Math.max(wish.gib, op.gib)
      break
    case 'crash':
      rules.passes.crashIn = op.afterCalls
      return
    case 'kill':
      killSome(world, op.pod)
      return
    case 'elect':
      for (const group of world.groups.values()) {
        if (group.leader !== null) group.transfer(group.leader, op.member, world.clock.now())
      }
      world.settle()
      return
    case 'loseVolume':
      loseVolume(world, op.pod)
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

function brokersOf(world: World): readonly string[] {
  return objectNames(world, 'Pod').filter((name) => name.includes('broker'))
}

function killSome(world: World, index: number): void {
  const pods = objectNames(world, 'Pod')
  const pod = world.find('Pod', pods[index % Math.max(pods.length, 1)] ?? '')
  if (pod !== null) world.kill(pod)
}

/** The node of a volume goes for good, if the group can bear that: what it cannot bear is for people. */
function loseVolume(world: World, index: number): void {
  const pods = brokersOf(world)
  const name = pods[index % Math.max(pods.length, 1)] ?? ''
  const pod = world.find('Pod', name)
  if (pod === null || world.unschedulable.size > 0) return
  const group = world.groupOf(name)
  if (group.voters.length < 3 || group.inSync(world.clock.now()).length < group.voters.length)
    return
  world.unschedulable.add(name)
  world.kill(pod)
}

/** Watches every call of the operator. */
class Rules {
  readonly #broken: string[] = []
  readonly passes: Passes
  readonly #world: World

  constructor(world: World) {
    this.#world = world
    this.passes = new Passes(world)
    world.onCall = (call) => this.#check(call)
  }

  all(): readonly string[] {
    const groups = [...this.#world.groups.values()].flatMap(({ broken }) => broken)
    return [...this.#broken, ...this.#world.broken, ...groups]
  }

  #check(call: string): void {
    this.passes.countCall()
    const [, group, member] = /^evict (prod-broker-\d+)-(\d+)$/.exec(call) ?? []
    if (group !== undefined) this.#checkEviction(group, Number(member))
  }

  /** A process that runs may go when all others of its group are there and are a majority without it, and only as a follower. */
  #checkEviction(name: string, id: number): void {
    const group = this.#world.groupOf(`${name}-0`)
    const now = this.#world.clock.now()
    if (!group.isReady(id, now) || group.voters.length < 2) return
    const others = group.inSync(now).filter((other) => other !== id)
    if (others.length < majorityOf(group.voters.length)) {
      this.#broken.push(
        `${name}-${id} goes, and only ${others.join()} of ${group.voters.join()} stay`,
      )
    }
    if (others.length < group.voters.length - 1) {
      this.#broken.push(`${name}-${id} goes while another of its group is away`)
    }
    if (group.leader === id) this.#broken.push(`${name}-${id} goes, and leads`)
  }
}

function expectAsWished(world: World, wish: Wish): void {
  const groups = Array.from({ length: wish.groups }, (_, group) => `prod-broker-${group}`)
  const members = Array.from({ length: wish.members }, (_, id) => id)
  expect(objectNames(world, 'StatefulSet')).toEqual([...groups, 'prod-namesrv'])
  expect(brokersOf(world)).toEqual(groups.flatMap((name) => members.map((id) => `${name}-${id}`)))
  for (const name of groups) {
    const group = world.groupOf(`${name}-0`)
    expect(group.voters).toEqual(members)
    expect(group.inSync(world.clock.now())).toEqual(members)
  }
  for (const routes of world.routes.values()) {
    expect(Object.fromEntries(routes)).toEqual(
      Object.fromEntries(groups.map((name) => [name, true])),
    )
  }
}
