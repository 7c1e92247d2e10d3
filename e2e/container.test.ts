/** The image on a plain Docker engine: a name server and a broker in a network, and clients outside of it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { GenericContainer, Network, Wait } from 'testcontainers'
import type { StartedNetwork, StartedTestContainer } from 'testcontainers'
import { VERSION, dockerEngine, environmentVariable, figures, run } from './environment.ts'
import { numberAt, textAt } from './json.ts'

/** The broker's route names this port of 127.0.0.1, so that it is the same inside and outside. */
const BROKER_PORT = 21_011
const ADMIN_PORT = 5557

let image: string
let network: StartedNetwork
let nameServer: StartedTestContainer
let broker: StartedTestContainer

beforeAll(async () => {
  figures('container', { dockerEngine: await dockerEngine() })
  const given = environmentVariable('GANTRY_E2E_IMAGE')
  image = given === '' ? `gantry:${VERSION}` : given
  if (given === '') await run('docker', ['build', '--quiet', '--tag', image, '.'])
  // The reaper is one more image to pull; these containers are stopped below.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true'

  network = await new Network().start()
  nameServer = await new GenericContainer(image)
    .withCommand(['namesrv'])
    .withNetwork(network)
    .withNetworkAliases('namesrv')
    .withDroppedCapabilities('ALL')
    .withExposedPorts(9876)
    .withWaitStrategy(Wait.forHealthCheck())
    .start()
  broker = await new GenericContainer(image)
    .withCommand([
      'broker',
      '-n',
      'namesrv:9876',
      '-p',
      'brokerIP1=127.0.0.1',
      '-p',
      `listenPort=${BROKER_PORT}`,
    ])
    .withNetwork(network)
    .withDroppedCapabilities('ALL')
    .withExposedPorts({ container: BROKER_PORT, host: BROKER_PORT }, ADMIN_PORT)
    .withWaitStrategy(Wait.forHealthCheck())
    .start()
})

afterAll(async () => {
  await broker?.stop()
  await nameServer?.stop()
  await network?.stop()
})

test('a client on the host sends and receives through the published ports', async () => {
  const address = `${nameServer.getHost()}:${nameServer.getMappedPort(9876)}`

  const { stdout } = await run('./gantry', [
    'bench',
    'smoke',
    '--namesrv',
    address,
    '--count',
    '100',
  ])

  expect(stdout).not.toBe('')
})

test('the image is small, runs as uid 10001 and brings no package manager', async () => {
  const { stdout } = await run('docker', ['image', 'inspect', image])
  const [facts]: unknown[] = JSON.parse(stdout)
  const size = numberAt(facts, 'Size')
  figures('image', { sizeMB: Math.round(size / 1e6) })

  expect(size).toBeLessThan(150_000_000)
  expect(textAt(facts, 'Config', 'User')).toBe('10001:10001')
  for (const path of ['/bin/bash', '/usr/bin/apt-get', '/usr/local/bin/npm', '/usr/bin/perl']) {
    await expect(run('docker', ['run', '--rm', '--entrypoint', path, image])).rejects.toThrow(
      /no such file or directory/,
    )
  }
})

test('the image needs no writable root and names its version', async () => {
  const { stdout } = await run('docker', ['run', '--rm', '--read-only', image, '--version'])

  expect(stdout.trim()).toBe(VERSION)
})

test('the broker ends in order when it is asked to, and says so by its exit code', async () => {
  const id = broker.getId()
  await run('docker', ['stop', '--time', '30', id])

  const { stdout } = await run('docker', ['inspect', '--format', '{{.State.ExitCode}}', id])

  expect(stdout.trim()).toBe('0')
})
