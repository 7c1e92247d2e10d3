/** All requests of the page. */
import { accessRoutes } from './access.ts'
import { alarmRoutes } from './alarms.ts'
import type { ApiRoute } from './api.ts'
import { deadLetterRoutes } from './dead-letters.ts'
import { groupRoutes } from './groups.ts'
import { messageRoutes } from './messages.ts'
import { overviewRoutes } from './overview.ts'
import { topicRoutes } from './topics.ts'
import { userRoutes } from './users.ts'

export const API_ROUTES: readonly ApiRoute[] = [
  ...overviewRoutes,
  ...topicRoutes,
  ...groupRoutes,
  ...messageRoutes,
  ...deadLetterRoutes,
  ...alarmRoutes,
  ...userRoutes,
  ...accessRoutes,
]
