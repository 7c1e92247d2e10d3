import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { createRuntime } from '../common/runtime.ts'
import { FakeApiServer } from './fake-api-server.ts'
import { createKubeWatcher } from './kube-api.ts'
import type { KubeTransport } from './kube-api.ts'
import { createKubeTransport, kubeConfigFor } from './kube.ts'
import { createManualTime } from './manual-time.ts'
import type { ManualTime } from './manual-time.ts'
import { MemoryObjectCache } from './object-cache.ts'
import { Reflector, RETRY_MAX_MS, SILENCE_LIMIT_MS } from './reflector.ts'
import type { ReflectorHandler, RestartCause } from './reflector.ts'

const PODS = '/api/v1/namespaces/ns/pods'
const COLLECTION = { apiVersion: 'v1', kind: 'Pod', namespace: 'ns' }
const { random } = createRuntime()

let server: FakeApiServer
let transport: KubeTransport
let time: ManualTime
let cache: MemoryObjectCache
let restarts: RestartCause[]
let reflector: Reflector

function pod(name: string): Record<string, unknown> {
  return { metadata: { name, namespace: 'ns' } }
}

function names(): readonly string[] {
  return cache.list('Pod', 'ns', {}).map((object) => object.metadata.name)
}

function watches(): readonly URLSearchParams[] {
  const found = server.requests.filter((request) => request.query.get('watch') === 'true')
  return found.map((request) => request.query)
}

function lists(): number {
  return server.requests.length - watches().length
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200_000; turn += 1) {
    if (condition()) return
    await nextTurn()
  }
  throw new Error('the condition was never met')
}

/** Lets back-offs pass, however many there are, until the condition holds. */
async function untilWithTime(condition: () => boolean): Promise<void> {
  await until(() => {
    const [next] = pauses()
    if (!condition() && next !== undefined) time.advance(next)
    return condition()
  })
}

/** Delays of the back-offs that wait; the watchdog of a watch is none. */
function pauses(): readonly number[] {
  return time.waiting.filter((delay) => delay <= RETRY_MAX_MS)
}

function create(handler: ReflectorHandler = cache.handlerOf(COLLECTION)): Reflector {
  return new Reflector({
    watcher: createKubeWatcher(transport),
    collection: COLLECTION,
    handler,
    ...time,
    clock: time.clock,
    timers: time.timers,
    random,
    logger: silentLogger,
    onRestart: (cause) => restarts.push(cause),
  })
}

beforeEach(async () => {
  server = await FakeApiServer.start()
  time = createManualTime()
  transport = createKubeTransport({ config: kubeConfigFor(server.url), clock: time.clock })
  cache = new MemoryObjectCache()
  restarts = []
  reflector = create()
})

afterEach(async () => {
  await reflector.close()
  transport.close()
  await server[Symbol.asyncDispose]()
})

test('it lists, says that it has synced, and follows what is added, changed and deleted', async () => {
  server.put(`${PODS}/a`, pod('a'))
  expect(cache.hasSynced).toBe(false)

  reflector.start()
  await until(() => server.watchCount === 1)
  expect(cache.hasSynced).toBe(true)
  expect(reflector.hasSynced).toBe(true)
  server.put(`${PODS}/b`, pod('b'))
  server.remove(`${PODS}/a`)
  await until(() => names().join() === 'b')

  expect(restarts).toEqual([])
  expect(lists()).toBe(1)
})

test('a long collection is fetched in pages of 500', async () => {
  for (let index = 0; index < 1_201; index += 1) server.put(`${PODS}/p${index}`, pod(`p${index}`))

  reflector.start()
  await until(() => cache.hasSynced)

  expect(names()).toHaveLength(1_201)
  expect(lists()).toBe(3)
})

test('the first list may come from the cache of the server, the watch asks for bookmarks and a random time-out', async () => {
  reflector.start()
  await until(() => server.watchCount === 1)

  expect(server.requests[0]?.query.get('resourceVersion')).toBe('0')
  const [query] = watches()
  expect(query?.get('allowWatchBookmarks')).toBe('true')
  expect(Number(query?.get('timeoutSeconds'))).toBeGreaterThanOrEqual(290)
  expect(Number(query?.get('timeoutSeconds'))).toBeLessThanOrEqual(580)
})

test('objects from the cache are frozen through and through', async () => {
  server.put(`${PODS}/a`, pod('a'))
  reflector.start()
  await until(() => cache.hasSynced)

  const found = cache.get({ ...COLLECTION, name: 'a' })

  expect(found).not.toBeNull()
  expect(Object.isFrozen(found)).toBe(true)
  expect(Object.isFrozen(found?.metadata)).toBe(true)
})

test('a failed list is tried again, with pauses that grow to half a minute', async () => {
  server.fail((request) => request.method === 'GET', 500, { times: 12 })
  const taken: number[] = []

  reflector.start()
  await until(() => {
    const [next] = pauses()
    if (next !== undefined && !cache.hasSynced) {
      taken.push(next)
      time.advance(next)
    }
    return cache.hasSynced
  })

  expect(taken).toHaveLength(12)
  expect(taken[0]).toBeLessThanOrEqual(800)
  expect(taken[11]).toBeGreaterThanOrEqual(15_000)
  expect(Math.max(...taken)).toBeLessThanOrEqual(RETRY_MAX_MS)
})

test('a watch that the server ends in an orderly way goes on from the last bookmark, without a list', async () => {
  reflector.start()
  await until(() => server.watchCount === 1)
  server.sendBookmarks()
  const bookmark = server.version
  await until(() => reflector.quietMs === 0 && server.watchCount === 1)
  time.advance(5_000)
  await until(() => {
    server.sendToWatches({ type: 'BOOKMARK', object: { metadata: { resourceVersion: bookmark } } })
    return reflector.quietMs === 0
  })
  server.endWatches('end')
  await until(() => watches().length === 2)

  expect(watches()[1]?.get('resourceVersion')).toBe(bookmark)
  expect(lists()).toBe(1)
  expect(restarts).toEqual([])
})

test('a server that ends every watch at once is not hammered', async () => {
  reflector.start()
  await until(() => server.watchCount === 1)
  server.endWatches('end')
  await until(() => pauses().length === 1)

  expect(watches()).toHaveLength(1)
  expect(pauses()[0]).toBeGreaterThanOrEqual(400)
})

test('a watch that fails with 500 goes on from the same version after a pause', async () => {
  server.fail((request) => request.query.get('watch') === 'true', 500, { times: 3 })

  reflector.start()
  await untilWithTime(() => server.watchCount === 1)

  const versions = watches().map((query) => query.get('resourceVersion'))
  expect(versions).toHaveLength(4)
  expect(new Set(versions).size).toBe(1)
  expect(lists()).toBe(1)
  expect(restarts).toEqual(['error', 'error', 'error'])
})

test('a throttled watch waits as long as the server asks', async () => {
  server.fail((request) => request.query.get('watch') === 'true', 429, {
    headers: { 'retry-after': '17' },
  })

  reflector.start()
  await until(() => pauses().length === 1)

  expect(pauses()).toEqual([17_000])
})

test('410 on the watch request lists again at once, and what vanished meanwhile is removed', async () => {
  server.put(`${PODS}/a`, pod('a'))
  reflector.start()
  await until(() => server.watchCount === 1)

  time.advance(2_000)
  server.endWatches('reset')
  server.remove(`${PODS}/a`)
  server.put(`${PODS}/b`, pod('b'))
  server.forgetHistory()
  await untilWithTime(() => names().join() === 'b')

  expect(restarts).toEqual(['error', 'expired'])
})

test('410 inside the stream lists again', async () => {
  reflector.start()
  await until(() => server.watchCount === 1)

  server.sendToWatches({ type: 'ERROR', object: { code: 410, message: 'too old' } })
  await untilWithTime(() => lists() === 2 && server.watchCount === 1)

  expect(restarts).toEqual(['expired'])
})

test('a watch that falls silent is cut and goes on, and a change in between is not missed', async () => {
  reflector.start()
  await until(() => server.watchCount === 1)

  time.advance(SILENCE_LIMIT_MS - 1)
  expect(restarts).toEqual([])
  time.advance(1)
  server.put(`${PODS}/late`, pod('late'))
  await until(() => names().join() === 'late')

  expect(restarts).toEqual(['silent'])
  expect(watches()).toHaveLength(2)
  expect(lists()).toBe(1)
})

test('bookmarks keep a quiet watch alive', async () => {
  reflector.start()
  await until(() => server.watchCount === 1)

  for (let minute = 0; minute < 5; minute += 1) {
    time.advance(60_000)
    expect(reflector.quietMs).toBe(60_000)
    server.sendBookmarks()
    await until(() => reflector.quietMs === 0)
  }

  expect(restarts).toEqual([])
  expect(watches()).toHaveLength(1)
})

test('a handler that throws costs a new list, not the process, and no event is lost', async () => {
  await reflector.close()
  const inner = cache.handlerOf(COLLECTION)
  let throws = 1
  reflector = create({
    ...inner,
    onChange: (object) => {
      if (throws > 0) {
        throws -= 1
        throw new Error('a bug')
      }
      inner.onChange(object)
    },
  })
  reflector.start()
  await until(() => server.watchCount === 1)

  server.put(`${PODS}/a`, pod('a'))
  await untilWithTime(() => names().join() === 'a')

  expect(restarts).toEqual(['handler'])
  expect(lists()).toBe(2)
})

test('a line that is no JSON ends the watch, which then goes on', async () => {
  reflector.start()
  await until(() => server.watchCount === 1)
  server.sendToWatches({ type: 'ADDED', object: 'not an object' })
  await untilWithTime(() => watches().length === 2)

  server.put(`${PODS}/a`, pod('a'))
  await untilWithTime(() => names().join() === 'a')

  expect(restarts).toEqual(['error'])
})

test('it can be closed in a pause', async () => {
  server.fail((request) => request.method === 'GET', 500)
  reflector.start()
  await until(() => pauses().length === 1)

  await reflector.close()

  expect(time.waiting).toEqual([])
})

test('it can be closed in a watch, and opens no other', async () => {
  reflector.start()
  await until(() => server.watchCount === 1)

  await reflector.close()
  await until(() => server.watchCount === 0)

  expect(watches()).toHaveLength(1)
  expect(time.waiting).toEqual([])
})

test('it can be closed in a list, and opens no watch', async () => {
  reflector.start()

  await reflector.close()

  expect(watches()).toHaveLength(0)
  expect(cache.hasSynced).toBe(false)
})
