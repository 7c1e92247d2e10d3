import { expect, test } from 'vitest'
import { NO_BODY } from './command.ts'
import { isSigned, signed } from './signature.ts'

const SECRET = 's3cret-ключ'
const CREDENTIALS = { accessKey: 'orders-app', secretKey: SECRET }
const NEWEST = 513

const SEND_FIELDS = {
  a: 'orders-producer',
  b: 'orders',
  c: 'TBW102',
  d: '4',
  e: '1',
  f: '0',
  g: '1700000000000',
  h: '0',
  i: 'KEYS\u0001k1\u0002TAGS\u0001größe',
  j: '0',
  k: 'false',
  m: 'false',
}
const QUERY_FIELDS = {
  topic: 'orders',
  key: 'k1',
  maxNum: '32',
  beginTimestamp: '0',
  endTimestamp: '9223372036854775807',
}

// What AclClientRPCHook of rocketmq-client 5.5.0 makes of the same requests.
test.each([
  ['a send', SEND_FIELDS, Buffer.from('hello, wörld'), 'CK6G4UJ9r/raUDaNemkbJ7YD1Qw='],
  ['a request without fields', {}, NO_BODY, 'L9U50ye9PMFET21h/nzno0G2t3w='],
  [
    'a query by unique key',
    { ...QUERY_FIELDS, _UNIQUE_KEY_QUERY: 'true' },
    NO_BODY,
    '3bJZgYfsyU1/koJN3iywV4YdzEo=',
  ],
])('%s is signed as by the Java client', (_name, extFields, body, signature) => {
  const request = signed({ code: 1, extFields, body }, CREDENTIALS)

  const fields = new Map(Object.entries(extFields).concat([['AccessKey', 'orders-app']]))
  expect(request.extFields).toEqual(new Map(fields).set('Signature', signature))
  fields.set('Signature', signature)
  expect(isSigned({ extFields: fields, body, version: NEWEST }, SECRET)).toBe(true)
})

test('a token of the client is signed too, and the body may be any bytes', () => {
  const extFields = new Map([
    ['AccessKey', 'orders-app'],
    ['SecurityToken', 'token-1'],
    ['Signature', 'bYHmMeCHWLW0Mg93pTdJeCikym8='],
  ])
  const body = Buffer.from([0, 255, 128, 10])

  expect(isSigned({ extFields, body, version: NEWEST }, 's3cret')).toBe(true)
  expect(isSigned({ extFields, body: NO_BODY, version: NEWEST }, 's3cret')).toBe(false)
})

test('clients of 4.9.3 and before mark a query by unique key after they have signed', () => {
  const { extFields } = signed({ code: 12, extFields: QUERY_FIELDS }, CREDENTIALS)
  const marked = new Map(extFields instanceof Map ? extFields : []).set('_UNIQUE_KEY_QUERY', 'true')
  const request = { extFields: marked, body: NO_BODY }

  expect(isSigned({ ...request, version: 399 }, SECRET)).toBe(true)
  expect(isSigned({ ...request, version: 400 }, SECRET)).toBe(false)
})

test('any change of a value, a field more or less, another secret or no signature is noticed', () => {
  const request = signed({ code: 310, extFields: SEND_FIELDS, body: Buffer.from('x') }, CREDENTIALS)
  const fields = new Map(request.extFields instanceof Map ? request.extFields : [])
  const check = (extFields: ReadonlyMap<string, string>, secret = SECRET) =>
    isSigned({ extFields, body: Buffer.from('x'), version: NEWEST }, secret)
  const without = (name: string) => new Map([...fields].filter(([each]) => each !== name))

  expect(check(fields)).toBe(true)
  for (const name of fields.keys()) {
    expect(check(new Map(fields).set(name, 'other'))).toBe(false)
    expect(check(without(name))).toBe(false)
  }
  expect(check(new Map(fields).set('z', 'more'))).toBe(false)
  expect(check(fields, 'other')).toBe(false)
})

test('what the members of a group add on the way is not signed', () => {
  const request = signed({ code: 310, extFields: SEND_FIELDS }, CREDENTIALS)
  const fields = new Map(request.extFields instanceof Map ? request.extFields : [])
  fields.set('gantryForwarded', 'true').set('gantryForwardedFrom', '10.0.0.1')

  expect(isSigned({ extFields: fields, body: NO_BODY, version: NEWEST }, SECRET)).toBe(true)
})
