/** The leader of the only broker group of a `gantry dev`: who it is, and how it is changed. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { ROOT, run } from './environment.ts'
import { at, listAt, numberAt, textAt } from './json.ts'

/** Longer than an election, with all that `gantry dev` does about it. */
const ELECTED_MS = 60_000

export interface Leader {
  readonly name: string
  readonly group: string
  readonly pid: number
}

/** As `gantry dev` with the folder `data` knows it; null while there is none. */
async function leaderOf(data: string): Promise<Leader | null> {
  const leader = (await podsOf(data)).find((pod) => textAt(pod, 'role') === 'leader')
  return leader === undefined
    ? null
    : {
        name: textAt(leader, 'name'),
        group: textAt(leader, 'group'),
        pid: numberAt(leader, 'pid'),
      }
}

/** kill -9 of the member that leads, which `gantry dev` starts again; resolves with it when another one leads. */
export async function killLeader(data: string): Promise<Leader> {
  const leader = await leads(data, () => true)
  process.kill(leader.pid, 'SIGKILL')
  await leads(data, ({ name }) => name !== leader.name)
  return leader
}

/** Resolves when another member leads, in good order: the member `to`, once it is ready, or the one that is furthest. */
export async function handOver(data: string, namesrv: string, to?: Leader): Promise<void> {
  const leader = await leads(data, () => true)
  if (to !== undefined) await ready(data, to.name)
  const member = to === undefined ? [] : ['--to', to.name.slice(to.name.lastIndexOf('-') + 1)]
  const args = ['cluster', 'transfer', leader.group, '--namesrv', namesrv, ...member]
  await run(join(ROOT, 'gantry'), args)
  await leads(data, ({ name }) => (to === undefined ? name !== leader.name : name === to.name))
}

async function ready(data: string, name: string): Promise<void> {
  await until(`${name} is ready`, async () => {
    const pod = (await podsOf(data)).find((one) => textAt(one, 'name') === name)
    return at(pod, 'ready') === true ? true : null
  })
}

/** Resolves with the first leader that is as wanted. */
function leads(data: string, isWanted: (leader: Leader) => boolean): Promise<Leader> {
  return until('such a leader', async () => {
    const leader = await leaderOf(data)
    return leader !== null && isWanted(leader) ? leader : null
  })
}

async function until<Found>(what: string, look: () => Promise<Found | null>): Promise<Found> {
  const end = Date.now() + ELECTED_MS
  for (;;) {
    const found = await look()
    if (found !== null) return found
    if (Date.now() > end) throw new Error(`not within ${ELECTED_MS} ms: ${what}`)
    await delay(100)
  }
}

async function podsOf(data: string): Promise<readonly unknown[]> {
  const status: unknown = JSON.parse(await readFile(join(data, '.gantry', 'status.json'), 'utf8'))
  return listAt(status, 'pods')
}
