import { expect, test } from 'vitest'
import { takenOver } from './field-ownership.ts'
import type { KubeObject } from './ports.ts'

const OURS = {
  manager: 'rocketmq-operator',
  operation: 'Apply',
  apiVersion: 'v1',
  fieldsV1: { 'f:spec': { 'f:ports': { 'k:{"port":1}': {} } } },
}

function service(...others: readonly object[]): KubeObject {
  const metadata = { name: 's', managedFields: [OURS, ...others] }
  return { apiVersion: 'v1', kind: 'Service', metadata }
}

test('what was edited by hand in our members becomes ours, labels of others stay theirs', () => {
  const edit = {
    manager: 'kubectl-patch',
    operation: 'Update',
    fieldsV1: {
      'f:spec': { 'f:ports': { 'k:{"port":2}': {} } },
      'f:metadata': { 'f:labels': { 'f:team': {} } },
    },
  }

  expect(takenOver(service(edit))).toEqual([
    { ...OURS, fieldsV1: { 'f:spec': { 'f:ports': { 'k:{"port":1}': {}, 'k:{"port":2}': {} } } } },
    { ...edit, fieldsV1: { 'f:metadata': { 'f:labels': { 'f:team': {} } } } },
  ])
})

test('the status of a controller is left alone', () => {
  const status = {
    manager: 'kube-controller-manager',
    operation: 'Update',
    subresource: 'status',
    fieldsV1: { 'f:status': {} },
  }

  expect(takenOver(service(status))).toBeNull()
})
