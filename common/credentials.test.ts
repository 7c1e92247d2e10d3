import { expect, test } from 'vitest'
import { credentialsIn } from './credentials.ts'

const ADMINISTRATOR = {
  GANTRY_CONFIG_initAuthenticationUser: '{"username":"root","password":"root-secret"}',
}

test('credentials come from their own variables, which are stronger than the administrator of a broker', () => {
  const own = { GANTRY_ACCESS_KEY: 'app', GANTRY_SECRET_KEY: 'app-secret' }

  expect(credentialsIn(own)).toEqual({ accessKey: 'app', secretKey: 'app-secret' })
  expect(credentialsIn({ ...ADMINISTRATOR, ...own })).toEqual({
    accessKey: 'app',
    secretKey: 'app-secret',
  })
})

test('in the pod of a broker they are the administrator that it makes', () => {
  expect(credentialsIn(ADMINISTRATOR)).toEqual({ accessKey: 'root', secretKey: 'root-secret' })
})

test.each([
  [{}],
  [{ GANTRY_ACCESS_KEY: 'app' }],
  [{ GANTRY_CONFIG_initAuthenticationUser: '' }],
  [{ GANTRY_CONFIG_initAuthenticationUser: 'root' }],
])('%j gives none', (environment) => {
  expect(credentialsIn(environment)).toBeNull()
})
