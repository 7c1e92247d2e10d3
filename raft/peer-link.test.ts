import { expect, test } from 'vitest'
import { silentLogger } from '../common/log.ts'
import { SimulatedNetwork } from '../simulation/network.ts'
import { SeededRandom } from '../simulation/random.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { ControlType, encodeControl } from './message-codec.ts'
import { PeerLink } from './peer-link.ts'
import type { Socket } from '../common/ports.ts'

/** A link to a machine that does with each connection what `onConnection` says. */
async function linkTo(onConnection: (socket: Socket, count: number) => void) {
  const time = new SimulatedTime()
  const network = new SimulatedNetwork({
    timers: time,
    random: new SeededRandom(1),
    latencyMs: 2,
  })
  let connections = 0
  await network.of('n2').listen('n2', 40_911, (socket) => {
    onConnection(socket, ++connections)
    return { onData: () => undefined, onDrain: () => undefined, onClose: () => undefined }
  })
  let frames = 0
  let losses = 0
  const link = new PeerLink({
    network: network.of('n1'),
    timers: time,
    logger: silentLogger,
    address: { host: 'n2', port: 40_911 },
    hello: () => encodeControl(ControlType.join, {}),
    onFrame: () => frames++,
    onLost: () => losses++,
  })
  return {
    time,
    link,
    get seen() {
      return { connections, frames, losses }
    },
  }
}

const ANSWER = encodeControl(ControlType.join, {})

test('a connection on which the first frame is not answered is left, and another one is opened', async () => {
  const subject = await linkTo((socket, count) => {
    if (count > 1) socket.write(ANSWER)
  })

  await subject.time.advance(2000)
  expect(subject.seen).toEqual({ connections: 1, frames: 0, losses: 0 })
  await subject.time.advance(2000)
  expect(subject.seen).toEqual({ connections: 2, frames: 1, losses: 1 })

  await subject.time.advance(60_000)
  expect(subject.seen).toEqual({ connections: 2, frames: 1, losses: 1 })
  subject.link.close()
})
