/** Alarms, who is told of them, and silences. */
import { ApiError } from '../api-error.ts'
import type { AlarmRow } from '../alarm-types.ts'
import { SILENCE_KINDS, SILENCE_MAX_MINUTES } from '../alarms/silences.ts'
import type { ListAnswer } from '../api-types.ts'
import { listAnswer } from '../list-query.ts'
import { param } from './api.ts'
import type { Api, ApiRequest, ApiRoute } from './api.ts'

const SUBJECT_MAX = 300
const COMMENT_MAX = 500

export const alarmRoutes: readonly ApiRoute[] = [
  { method: 'GET', path: '/alarms', role: 'viewer', handle: alarms },
  {
    method: 'GET',
    path: '/alarm-settings',
    role: 'viewer',
    handle: (api) => api.alarms.settings,
  },
  {
    method: 'POST',
    path: '/silences',
    role: 'operator',
    what: ({ body }) =>
      `silence ${body.text('kind')} of ${body.text('subject', SUBJECT_MAX)} for ${body.integer('minutes', MINUTES)} minutes`,
    handle: silence,
  },
  {
    method: 'DELETE',
    path: '/silences/:silence',
    role: 'operator',
    what: (request) => `end silence ${param(request, 'silence')}`,
    handle: (api, request) => {
      api.alarms.unsilence(param(request, 'silence'))
      return {}
    },
  },
  {
    method: 'POST',
    path: '/alarms/forget/:broker',
    role: 'operator',
    what: (request) => `say that ${param(request, 'broker')} was removed on purpose`,
    handle: (api, request) => {
      api.alarms.forgetBroker(param(request, 'broker'))
      return {}
    },
  },
  {
    method: 'POST',
    path: '/receivers/:receiver/test',
    role: 'admin',
    what: (request) => `test receiver ${param(request, 'receiver')}`,
    handle: async (api, request) => {
      await api.alarms.test(param(request, 'receiver'), request.userName)
      return {}
    },
  },
]

const MINUTES = { min: 1, max: SILENCE_MAX_MINUTES } as const

function alarms(api: Api, { query }: ApiRequest): ListAnswer<AlarmRow> {
  return listAnswer(api.alarms.rows, query, {
    texts: ({ subject, problem, title, kind }) => [subject, problem, title, kind],
    columns: {
      // Firing before pending, errors before warnings, the newest first.
      urgency: ({ state, severity, since }) =>
        (state === 'firing' ? 2e15 : 0) + (severity === 'error' ? 1e15 : 0) + since,
      since: ({ since }) => since,
      subject: ({ subject }) => subject,
      title: ({ title }) => title,
    },
    defaultSort: 'urgency',
    defaultOrder: 'desc',
  })
}

function silence(api: Api, { body, userName }: ApiRequest): unknown {
  const subject = body.text('subject', SUBJECT_MAX).trim()
  if (subject === '') throw new ApiError('badRequest', 'subject is missing')
  return api.alarms.silence({
    kind: body.choice('kind', SILENCE_KINDS),
    subject,
    comment: body.optionalText('comment', COMMENT_MAX) ?? '',
    by: userName,
    minutes: body.integer('minutes', MINUTES),
  })
}
