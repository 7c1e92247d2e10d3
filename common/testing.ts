/** For tests that start real servers. */
import { randomInt } from 'node:crypto'
import net from 'node:net'

/** Below the ports that the kernel hands out by itself. */
const FIRST_PORT = 20_000
const LAST_PORT = 32_000
const ATTEMPTS = 100

/** The first of `count` ports in a row on which nobody listens now. */
export async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const first = randomInt(FIRST_PORT, LAST_PORT - count)
    const ports = Array.from({ length: count }, (_, index) => first + index)
    const found = await Promise.all(ports.map(isFree))
    if (found.every(Boolean)) return first
  }
  throw new Error(`no ${count} free ports in a row`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen(port, () => {
      server.close(() => resolve(true))
    })
  })
}
