import { expect, test } from 'vitest'
import { clusterKeyOf, MemoryObjectCache } from './object-cache.ts'
import type { KubeObject } from './ports.ts'

const PODS = { apiVersion: 'v1', kind: 'Pod' }

function pod(name: string, resourceVersion: string, namespace = 'ns', app = 'a'): KubeObject {
  return { ...PODS, metadata: { name, namespace, resourceVersion, labels: { app } } }
}

function told(cache: MemoryObjectCache): string[] {
  const seen: string[] = []
  cache.subscribe(({ metadata }) => seen.push(`${metadata.name}@${metadata.resourceVersion ?? ''}`))
  return seen
}

test('it has synced when every collection has had its first list', () => {
  const cache = new MemoryObjectCache()
  const one = cache.handlerOf({ ...PODS, namespace: 'a' })
  const two = cache.handlerOf({ ...PODS, namespace: 'b' })
  expect(cache.hasSynced).toBe(false)
  one.onList([])
  expect(cache.hasSynced).toBe(false)

  two.onList([])

  expect(cache.hasSynced).toBe(true)
})

test('a new list tells of what differs and of what is gone, and of nothing else', () => {
  const cache = new MemoryObjectCache()
  const handler = cache.handlerOf(PODS)
  handler.onList([pod('same', '1'), pod('changed', '1'), pod('gone', '1')])
  const seen = told(cache)

  handler.onList([pod('same', '1'), pod('changed', '2'), pod('new', '3')])

  expect(seen.sort()).toEqual(['changed@2', 'gone@1', 'new@3'])
  expect(
    cache
      .all('Pod')
      .map(({ metadata }) => metadata.name)
      .sort(),
  ).toEqual(['changed', 'new', 'same'])
})

test('the list of one namespace leaves the others alone', () => {
  const cache = new MemoryObjectCache()
  cache.handlerOf({ ...PODS, namespace: 'a' }).onList([pod('x', '1', 'a')])

  cache.handlerOf({ ...PODS, namespace: 'b' }).onList([pod('y', '1', 'b')])

  expect(cache.get({ ...PODS, namespace: 'a', name: 'x' })).not.toBeNull()
  expect(cache.list('Pod', 'b', {}).map(({ metadata }) => metadata.name)).toEqual(['y'])
})

test('objects are found by their labels, in the order of their names', () => {
  const cache = new MemoryObjectCache()
  cache.handlerOf(PODS).onList([pod('c', '1'), pod('a', '1'), pod('b', '1', 'ns', 'other')])

  expect(cache.list('Pod', 'ns', { app: 'a' }).map(({ metadata }) => metadata.name)).toEqual([
    'a',
    'c',
  ])
})

test('a deletion of what is not there is told to nobody', () => {
  const cache = new MemoryObjectCache()
  const seen = told(cache)

  cache.handlerOf(PODS).onDelete(pod('x', '1'))

  expect(seen).toEqual([])
})

test('an object belongs to the cluster of its label, a cluster to itself, others to none', () => {
  const labels = { 'rocketmq.gantry.dev/cluster': 'demo' }

  expect(clusterKeyOf({ ...PODS, metadata: { name: 'p', namespace: 'ns', labels } })).toBe(
    'ns/demo',
  )
  expect(
    clusterKeyOf({
      apiVersion: 'x',
      kind: 'RocketMQCluster',
      metadata: { name: 'c', namespace: 'ns' },
    }),
  ).toBe('ns/c')
  expect(clusterKeyOf(pod('p', '1'))).toBeNull()
})
