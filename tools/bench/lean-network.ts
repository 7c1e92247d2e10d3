/**
 * Connections that receive into one buffer of their own, again and again: the generator shares the machine with the broker, and a
 * fresh buffer for each chunk costs it more than the checks of what is in there. What `onData` is given holds until it returns.
 */
import { connect } from 'node:net'
import type { Socket as NodeSocket } from 'node:net'
import type { Network, Socket } from '../../common/ports.ts'

/** The part of the port that loads use. */
export type Connector = Pick<Network, 'connect'>

export function leanNetwork(receiveBufferSize: number): Connector {
  return {
    connect: (options) =>
      new Promise<Socket>((resolve, reject) => {
        const { host, port, timeoutMs } = options
        let failure: Error | null = null
        let onData: (bytes: Buffer) => void = () => undefined
        const socket = connect({
          host,
          port,
          noDelay: true,
          keepAlive: true,
          onread: {
            buffer: Buffer.allocUnsafeSlow(receiveBufferSize),
            callback: (count, buffer) => {
              onData(Buffer.from(buffer.buffer, buffer.byteOffset, count))
              return true
            },
          },
        })
        const timer = setTimeout(() => {
          socket.destroy(new Error(`no connection to ${host}:${port} in ${timeoutMs} ms`))
        }, timeoutMs)
        socket.once('error', (error) => {
          failure = error
          clearTimeout(timer)
          reject(error)
        })
        socket.once('connect', () => {
          clearTimeout(timer)
          const wrapped = wrap(socket)
          const handler = options.onSocket(wrapped)
          onData = (bytes) => handler.onData(bytes)
          socket.on('drain', () => handler.onDrain())
          socket.on('close', () => handler.onClose(failure))
          resolve(wrapped)
        })
      }),
  }
}

function wrap(socket: NodeSocket): Socket {
  return {
    remoteHost: socket.remoteAddress ?? '',
    remotePort: socket.remotePort ?? 0,
    localHost: socket.localAddress ?? '',
    localPort: socket.localPort ?? 0,
    get pendingBytes() {
      return socket.writableLength
    },
    write: (bytes) => socket.writable && socket.write(bytes),
    writeAll: (buffers) => socket.writable && socket.write(Buffer.concat(buffers)),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    end: () => socket.end(),
    destroy: () => socket.destroy(),
  }
}
