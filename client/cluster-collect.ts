/** Asks all name servers and brokers of a cluster how they are. */
import { messageOf } from '../common/errors.ts'
import type { ClusterInfo } from '../remoting/bodies/cluster-info.ts'
import type { AdminClient } from './admin.ts'
import type { BrokerState, NameServerState } from './cluster-picture.ts'
import { isRefusal } from './errors.ts'
import { askPicture } from './picture-questions.ts'

const MASTER_ID = 0
/** Broker groups that are asked at a time. */
const ASKED_AT_ONCE = 8
/** Broker groups that are asked at all. */
const BROKERS_MAX = 1_000

export interface CollectOptions {
  readonly now: () => number
  /** As they were: a broker that is silent now keeps what it said. */
  readonly before: readonly BrokerState[]
  /** Brokers elsewhere are not asked, whatever a name server says; all are when absent. */
  readonly isAllowed?: (address: string) => boolean
}

export interface Collected {
  readonly nameServers: readonly NameServerState[]
  readonly brokers: readonly BrokerState[]
}

/** Never rejects: who does not answer has a problem. */
export async function collectCluster(
  admin: AdminClient,
  addresses: readonly string[],
  options: CollectOptions,
): Promise<Collected> {
  const answers = await Promise.all(addresses.map((address) => askNameServer(admin, address)))
  const nameServers = answers.map(({ address, problem }) => ({ address, problem }))
  const known = new Map(options.before.map((broker) => [broker.brokerName, broker]))
  const registered = registeredIn(answers.flatMap(({ info }) => (info === null ? [] : [info])))
  // While no name server answers, the brokers are where they were.
  const isBlind = nameServers.every(({ problem }) => problem !== null)
  const asked = isBlind
    ? options.before.map(({ brokerName, cluster, address }) => ({ brokerName, cluster, address }))
    : registered.slice(0, BROKERS_MAX)
  const brokers: BrokerState[] = []
  for (let at = 0; at < asked.length; at += ASKED_AT_ONCE) {
    const some = asked.slice(at, at + ASKED_AT_ONCE)
    brokers.push(
      ...(await Promise.all(
        some.map((one) => askBroker(admin, one, known.get(one.brokerName) ?? null, options)),
      )),
    )
  }
  return { nameServers, brokers }
}

interface Registered {
  readonly brokerName: string
  readonly cluster: string
  readonly address: string | null
}

async function askNameServer(
  admin: AdminClient,
  address: string,
): Promise<{
  readonly address: string
  readonly problem: string | null
  readonly info: ClusterInfo | null
}> {
  try {
    return { address, problem: null, info: await admin.clusterInfo(address) }
  } catch (error) {
    return { address, problem: messageOf(error), info: null }
  }
}

/** Name servers may know different brokers: all of them, a leader from whichever knows it. */
function registeredIn(infos: readonly ClusterInfo[]): readonly Registered[] {
  const found = new Map<string, Registered>()
  for (const { brokers, clusters } of infos) {
    for (const [cluster, names] of clusters) {
      for (const brokerName of names) {
        const address = brokers.get(brokerName)?.brokerAddrs.get(MASTER_ID) ?? null
        if (address === null && found.has(brokerName)) continue
        found.set(brokerName, { brokerName, cluster, address })
      }
    }
  }
  return [...found.values()].toSorted((a, b) => (a.brokerName < b.brokerName ? -1 : 1))
}

async function askBroker(
  admin: AdminClient,
  registered: Registered,
  before: BrokerState | null,
  { now, isAllowed }: CollectOptions,
): Promise<BrokerState> {
  const { address } = registered
  const former = { picture: before?.picture ?? null, pictureAt: before?.pictureAt ?? null }
  const silent = { ...registered, ...former, isRefused: false }
  if (address === null) return { ...silent, problem: 'it has no leader' }
  if (isAllowed?.(address) === false) {
    return { ...silent, problem: `${address} is not an address to be asked` }
  }
  try {
    const picture = await askPicture(admin, address)
    return { ...registered, picture, pictureAt: now(), problem: null, isRefused: false }
  } catch (error) {
    return { ...silent, problem: messageOf(error), isRefused: isRefusal(error) }
  }
}
