/** All requests of the page. */
import type { ApiRoute } from './api.ts'
import { groupRoutes } from './groups.ts'
import { overviewRoutes } from './overview.ts'
import { topicRoutes } from './topics.ts'
import { userRoutes } from './users.ts'

export const API_ROUTES: readonly ApiRoute[] = [
  ...overviewRoutes,
  ...topicRoutes,
  ...groupRoutes,
  ...userRoutes,
]
