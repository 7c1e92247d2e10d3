/** The overview, broker groups, charts, events, connections. */
import { RequestCode } from '../../remoting/request-code.ts'
import { ApiError } from '../api-error.ts'
import type {
  BrokerRates,
  BrokerRow,
  ConnectionRow,
  EventRow,
  HistoryAnswer,
  ListAnswer,
  OperationRow,
  OverviewAnswer,
} from '../api-types.ts'
import { integerOf } from '../fields.ts'
import { listAnswer } from '../list-query.ts'
import { anyPictureOf, param, pictureOf } from './api.ts'
import type { Api, ApiRequest, ApiRoute } from './api.ts'
import { brokerRow, clientRow, groupRow, topicRow } from './rows.ts'

const TOP = 8
const SERIES_PER_REQUEST = 32
const WEEK_MS = 7 * 24 * 60 * 60_000

export const overviewRoutes: readonly ApiRoute[] = [
  { method: 'GET', path: '/overview', role: 'viewer', handle: overview },
  { method: 'GET', path: '/brokers', role: 'viewer', handle: brokers },
  { method: 'GET', path: '/history', role: 'viewer', handle: history },
  { method: 'GET', path: '/connections', role: 'viewer', handle: connections },
  { method: 'GET', path: '/events', role: 'viewer', handle: events },
  { method: 'GET', path: '/operations', role: 'viewer', handle: operations },
  {
    method: 'POST',
    path: '/brokers/:broker/transfer',
    role: 'operator',
    what: (request) => `hand the leadership of ${param(request, 'broker')} over`,
    handle: transfer,
  },
]

function overview(api: Api): OverviewAnswer {
  const picture = anyPictureOf(api)
  const findings = api.findings()
  const rows = brokers(api)
  const topics = [...picture.topics.values()]
  const shown = topics.filter(({ kind }) => kind !== 'system' && kind !== 'retry')
  const groups = [...picture.groups.values()].filter(({ isSystem }) => !isSystem)
  const clients = new Set([
    ...groups.flatMap((group) => group.clients.map(({ clientId }) => clientId)),
    ...picture.producers.flatMap((group) => group.clients.map(({ clientId }) => clientId)),
  ])
  const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0)
  const rate = (of: (rates: BrokerRates) => number): number | null => {
    const known = rows.flatMap(({ rates }) => (rates === null ? [] : [of(rates)]))
    return known.length === 0 ? null : sum(known)
  }
  return {
    at: picture.at,
    isHealthy: findings.every(({ severity }) => severity !== 'error'),
    findings,
    nameServers: picture.nameServers,
    brokers: rows,
    totals: {
      inTps: rate(({ inTps }) => inTps),
      outTps: rate(({ outTps }) => outTps),
      topics: shown.filter(({ kind }) => kind !== 'deadLetter').length,
      groups: groups.length,
      onlineGroups: groups.filter(({ members }) => members > 0).length,
      clients: clients.size,
      lag: sum(groups.map(({ lag }) => lag)),
      deadLetters: sum(groups.map(({ deadLetters }) => deadLetters)),
    },
    behind: groups
      .filter(({ lag }) => lag > 0)
      .toSorted((a, b) => b.lag - a.lag)
      .slice(0, TOP)
      .map(groupRow),
    busiest: shown
      .filter(({ inTps }) => inTps > 0)
      .toSorted((a, b) => b.inTps - a.inTps)
      .slice(0, TOP)
      .map(topicRow),
  }
}

function brokers(api: Api): readonly BrokerRow[] {
  const { rates } = api.collector
  return anyPictureOf(api).brokers.map((state) =>
    brokerRow(state, rates.get(state.brokerName) ?? null),
  )
}

function history(api: Api, { query }: ApiRequest): HistoryAnswer {
  const names = query.getAll('series')
  if (names.length > SERIES_PER_REQUEST) {
    throw new ApiError('badRequest', `series are more than ${SERIES_PER_REQUEST}`)
  }
  const rangeMs = integerOf(query, 'rangeMs', { min: 60_000, max: WEEK_MS, absent: 3_600_000 })
  return api.history.read(names, rangeMs)
}

function connections(api: Api, { query }: ApiRequest): ListAnswer<ConnectionRow> {
  const picture = pictureOf(api)
  const rows: ConnectionRow[] = []
  for (const { group, clients } of picture.producers) {
    for (const client of clients) rows.push({ ...clientRow(client), kind: 'producer', group })
  }
  for (const { name, clients } of picture.groups.values()) {
    for (const client of clients) rows.push({ ...clientRow(client), kind: 'consumer', group: name })
  }
  return listAnswer(rows, query, {
    texts: ({ clientId, address, group, language }) => [clientId, address, group, language],
    columns: {
      clientId: ({ clientId }) => clientId,
      kind: ({ kind }) => kind,
      group: ({ group }) => group,
      address: ({ address }) => address,
      language: ({ language }) => language,
      version: ({ version }) => version,
    },
    defaultSort: 'group',
    defaultOrder: 'asc',
  })
}

function events(api: Api, { query }: ApiRequest): ListAnswer<EventRow> {
  return listAnswer(api.events.newest, query, {
    texts: ({ subject, text, severity }) => [subject, text, severity],
    columns: { at: ({ at }) => at, subject: ({ subject }) => subject },
    defaultSort: 'at',
    defaultOrder: 'desc',
  })
}

function operations(api: Api, { query }: ApiRequest): ListAnswer<OperationRow> {
  return listAnswer(api.operations.newest, query, {
    texts: ({ userName, what, result }) => [userName, what, result],
    columns: { at: ({ at }) => at, userName: ({ userName }) => userName },
    defaultSort: 'at',
    defaultOrder: 'desc',
  })
}

async function transfer(api: Api, request: ApiRequest): Promise<unknown> {
  const brokerName = param(request, 'broker')
  const to = request.body.integer('to', { min: 0, max: 1_000 })
  const state = pictureOf(api).brokers.find((broker) => broker.brokerName === brokerName)
  if (state === undefined) throw new ApiError('notFound', `there is no broker ${brokerName}`)
  const { address, cluster } = state
  if (address === null) throw new ApiError('conflict', `broker ${brokerName} has no leader`)
  await api.admin.ask(address, {
    code: RequestCode.CONTROLLER_ELECT_MASTER,
    extFields: { clusterName: cluster, brokerName, brokerId: String(to), designateElect: 'true' },
  })
  return { to }
}
