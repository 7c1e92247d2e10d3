import { describe, expect, test, vi } from 'vitest'
import { deliveryMark } from '../../common/delivery-mark.ts'
import { RequestCode } from '../../remoting/request-code.ts'
import { ResponseCode } from '../../remoting/response-code.ts'
import { SeededRandom } from '../../simulation/random.ts'
import { HISTORIES_TIMEOUT_MS, histories } from '../../simulation/testing.ts'
import { fsck } from '../../store/fsck.ts'
import { OtherMembers } from '../testing-world.ts'
import { DelayWorld, expectOnce, sendThroughPowerCuts } from './testing.ts'

const HISTORIES = histories(12)
const KEYS = { messageDelayLevel: '1s 2s 5s 1m' }

vi.setConfig({ testTimeout: HISTORIES_TIMEOUT_MS })

describe('a message with a delay level', () => {
  test('comes after its delay, not before, and not much later', async () => {
    const world = await DelayWorld.create(KEYS)

    const sent = await world.send('a', { DELAY: '2', TAGS: 'x', UNIQ_KEY: 'U' })
    const sentAt = world.world.time.now()
    await world.advance(1999)
    const before = await world.bodies()
    await world.advance(200)

    const [message] = await world.delivered()
    expect(sent.response?.code).toBe(ResponseCode.SUCCESS)
    expect(sent.field('queueId')).toBe('1')
    expect(before).toEqual([])
    expect(message?.body).toBe('a')
    expect(message?.storeTimestamp).toBe(sentAt + 2000)
  })

  test('arrives as Java restores it', async () => {
    const world = await DelayWorld.create(KEYS)

    await world.send('a', { DELAY: '1', TAGS: 'x', UNIQ_KEY: 'U', k: 'v' })
    await world.advance(1100)

    const [found] = await world.delivered()
    expect(found?.queueId).toBe(1)
    const { '__CRC32#': crc, ...properties } = Object.fromEntries(found?.properties ?? [])
    expect(crc).toHaveLength(10)
    expect(properties).toEqual({
      TAGS: 'x',
      UNIQ_KEY: 'U',
      k: 'v',
      MSG_REGION: 'DefaultRegion',
      TRACE_ON: 'true',
      CLUSTER: 'DefaultCluster',
      REAL_TOPIC: 'T',
      REAL_QID: '1',
    })
    expect(found?.message).toMatchObject({ flag: 7, bornTimestamp: 1_700_000_000_000 })
    expect(found?.message.bornHost.port).toBe(40_001)
  })

  test('above the last level waits as long as that one', async () => {
    const world = await DelayWorld.create(KEYS)

    await world.send('a', { DELAY: '99' })
    await world.advance(59_000)
    const before = await world.bodies()
    await world.advance(1100)

    expect(before).toEqual([])
    expect(await world.bodies()).toEqual(['a'])
  })

  test('messages of a level keep their order, also a great many that are due together', async () => {
    const world = await DelayWorld.create(KEYS)
    const bodies = Array.from({ length: 700 }, (_, index) => `m${index}`)

    for (const body of bodies) await world.send(body, { DELAY: '1' })
    await world.advance(1100)

    expect(await world.bodies()).toEqual(bodies)
  })

  test('a full disk is waited out, and nothing is lost or doubled', async () => {
    const world = await DelayWorld.create(KEYS)
    const bodies = Array.from({ length: 40 }, (_, index) => `m${index}`)
    for (const body of bodies) await world.send(body, { DELAY: '1' })

    world.world.disk.foreignBytes = world.world.disk.totalBytes
    await world.advance(5000)
    const during = await world.bodies()
    world.world.disk.foreignBytes = 0
    await world.advance(5000)

    expect(during.length).toBeLessThanOrEqual(bodies.length)
    expect(await world.bodies()).toEqual(bodies)
  })
})

describe('a broker that ends', () => {
  test('while messages wait delivers those that became due meanwhile at its start, and each once', async () => {
    const world = await DelayWorld.create(KEYS)
    await world.send('a', { DELAY: '1' })
    await world.send('b', { DELAY: '3' })
    await world.advance(2000)

    world.kill()
    world.world.time.freeze(60_000)
    await world.restart()
    await world.advance(200)

    expect(await world.bodies()).toEqual(['a', 'b'])
  })

  test('right after a delivery does not deliver again, although no file says so', async () => {
    const world = await DelayWorld.create(KEYS)
    for (let index = 0; index < 50; index++) await world.send(`m${index}`, { DELAY: '1' })
    await world.advance(1001)
    const before = await world.bodies()

    world.kill()
    await world.restart()
    await world.advance(5000)

    expect(before).toHaveLength(50)
    expect(await world.bodies()).toEqual(before)
    expect(world.world.disk.readFileSync('/store/config/delayOffset.json')).toBeNull()
  })

  test('leaves a folder that fsck finds sound', async () => {
    const world = await DelayWorld.create(KEYS)
    for (let index = 0; index < 20; index++) await world.send(`m${index}`, { DELAY: '1' })
    await world.advance(20_000)
    world.kill()

    const report = fsck({ disk: world.world.disk, root: '/store' })

    expect(report.problems).toEqual([])
  })

  test('goes on where Java was, and remembers that in the log', async () => {
    const world = await DelayWorld.create(KEYS)
    for (const body of ['a', 'b', 'c']) await world.send(body, { DELAY: '2' })
    await world.advance(100)
    world.kill()
    const java = Buffer.from('{"dataVersion":{"counter":3},"offsetTable":{2:2,1:0}}')
    writeFile(world, '/store/config/delayOffset.json', java)

    await world.restart()
    await world.advance(15_000)
    const first = await world.bodies()
    world.kill()
    await world.restart()
    await world.advance(15_000)

    expect(first).toEqual(['c'])
    expect(await world.bodies()).toEqual(['c'])
  })
})

describe('a clock that is set', () => {
  test.each([3_600_000, -3_600_000, 700, -700])(
    'by %i ms neither makes a message early nor keeps it',
    async (jump) => {
      const world = await DelayWorld.create(KEYS)
      await world.send('a', { DELAY: '3' })
      await world.advance(2000)

      world.world.time.jumpWall(jump)
      await world.send('b', { DELAY: '3' })
      await world.advance(2800)
      const early = await world.bodies()
      await world.advance(400)
      const first = await world.bodies()
      await world.advance(2000)

      expect(early).toEqual([])
      expect(first).toEqual(['a'])
      expect(await world.bodies()).toEqual(['a', 'b'])
    },
  )

  test('while no broker ran keeps no message for longer than its delay', async () => {
    const world = await DelayWorld.create(KEYS)
    await world.send('a', { DELAY: '3' })

    world.kill()
    world.world.time.jumpWall(-3_600_000)
    await world.restart()
    await world.advance(5300)

    expect(await world.bodies()).toEqual(['a'])
  })
})

describe('whoever stops leading', () => {
  test('delivers nothing more, and goes on when it leads again', async () => {
    const world = await DelayWorld.create(KEYS)
    await world.send('a', { DELAY: '1' })
    const { levels } = world.world.processors

    const stopped = levels.stopLeading()
    await world.advance(3000)
    await stopped
    const before = await world.bodies()
    levels.startLeading()
    await world.advance(200)

    expect(before).toEqual([])
    expect(await world.bodies()).toEqual(['a'])
  })

  test('has told in delayOffset.json how far it came', async () => {
    const world = await DelayWorld.create(KEYS)
    await world.send('a', { DELAY: '1' })
    await world.advance(1500)

    const stopped = world.world.processors.levels.stopLeading()
    await world.advance(100)
    await stopped

    const file = world.world.disk.readFileSync('/store/config/delayOffset.json')?.toString() ?? ''
    const answered = await world.world.call({ code: RequestCode.GET_ALL_DELAY_OFFSET })
    expect(JSON.parse(file)).toMatchObject({ offsetTable: { 1: 1, 2: 0, 3: 0, 4: 0 } })
    expect(answered.response?.body?.toString()).toContain('"offsetTable":{"1":1')
  })
})

test('random histories with kills: every message comes once, in the order of its level, never early', async () => {
  for (let seed = 1; seed <= HISTORIES; seed++) {
    const random = new SeededRandom(seed)
    const world = await DelayWorld.create(KEYS)
    const sent: { readonly body: string; readonly level: number; readonly at: number }[] = []
    for (let step = 0; step < 60; step++) {
      const choice = random.integer(10)
      if (choice < 6) {
        const level = 1 + random.integer(3)
        const body = `${level}-${step}`
        const at = world.world.time.now()
        await world.send(body, { DELAY: String(level) })
        sent.push({ body, level, at })
      } else if (choice < 9) {
        await world.advance(random.integer(1500))
      } else {
        world.kill()
        if (random.integer(2) === 0) world.world.time.freeze(random.integer(4000))
        await world.restart()
      }
    }
    await world.advance(6000)

    const delivered = await world.delivered()
    for (const level of [1, 2, 3]) {
      const wanted = sent.filter((each) => each.level === level)
      const got = delivered.filter(({ body }) => body.startsWith(`${level}-`))
      expect(got.map(({ body }) => body)).toEqual(wanted.map(({ body }) => body))
      const delayMs = [1000, 2000, 5000][level - 1] ?? 0
      const isEarly = got.some(
        (each, index) => each.storeTimestamp < (wanted[index]?.at ?? 0) + delayMs,
      )
      expect(isEarly).toBe(false)
    }
    expect(fsck({ disk: world.world.disk, root: '/store' }).problems).toEqual([])
  }
})

test('power cuts with SYNC_FLUSH: no message that was acknowledged is lost', async () => {
  for (let seed = 1; seed <= HISTORIES; seed++) {
    const random = new SeededRandom(seed)
    const world = await DelayWorld.create({ ...KEYS, flushDiskType: 'SYNC_FLUSH' })
    const acknowledged = await sendThroughPowerCuts(world, random, () => ({
      DELAY: String(1 + random.integer(3)),
    }))
    await world.advance(6000)

    await expectOnce(world, acknowledged)
  }
})

// Goal: rot does not spread under a checksum that is right. Method: a bit of what is read is another one.
test('a message that is damaged does not come: the member fails, others have it whole', async () => {
  const world = await DelayWorld.create(KEYS, new OtherMembers())
  await world.send('a', { DELAY: '1' })
  const { store } = world.world.parts
  const get = store.get.bind(store)
  const spy = vi.spyOn(store, 'get').mockImplementation((request, done) =>
    get(request, (result) => {
      for (const record of result.records) record.write('b', record.indexOf('a'))
      done(result)
    }),
  )

  await world.advance(2000)
  spy.mockRestore()

  expect(await world.bodies()).toEqual([])
  expect((await world.send('c', {})).response?.code).not.toBe(ResponseCode.SUCCESS)
})

test('marks are far from every queue offset that transactions keep in the same field', () => {
  expect(deliveryMark(1, 0)).toBeGreaterThan(2 ** 46)
  expect(Number.isSafeInteger(deliveryMark(64, 2 ** 46 - 1))).toBe(true)
})

function writeFile(world: DelayWorld, path: string, content: Buffer): void {
  const file = world.world.disk.openSync(path, 'write')
  file.truncateSync(0)
  file.writeSync(content, 0, content.length, 0)
  file.datasyncSync()
  file.closeSync()
}
