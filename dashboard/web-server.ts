/**
 * The console over HTTP: login, the page's files, and the requests of the page. Each request is of one session and one role; what changes
 * something needs the session's token besides its cookie, comes from our own page, and stands in the list of operations.
 */
import cookie from '@fastify/cookie'
import fastify from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { messageOf } from '../common/errors.ts'
import type { Clock } from '../common/ports.ts'
import type { Logger } from '../common/log.ts'
import { ApiError, refusalOf } from './api-error.ts'
import { ROLES } from './api-types.ts'
import type { Role, SessionAnswer } from './api-types.ts'
import { Download } from './api/api.ts'
import type { Api, ApiRequest, ApiRoute } from './api/api.ts'
import { API_ROUTES } from './api/routes.ts'
import type { Asset } from './assets.ts'
import { TooManyAttempts } from './auth/password-checks.ts'
import { isSameToken } from './auth/sessions.ts'
import type { Session, Sessions } from './auth/sessions.ts'
import { Fields } from './fields.ts'

export interface WebServerOptions {
  readonly api: Api
  readonly sessions: Sessions
  readonly assets: ReadonlyMap<string, Asset>
  readonly logger: Logger
  readonly clock: Clock
  readonly secureCookie: boolean
  /** Null: ready. */
  readonly notReady: () => string | null
  readonly metrics: () => Promise<{ readonly body: string; readonly contentType: string }>
}

const COOKIE = 'gantry_session'
const LOGIN = '/api/login'
const TOKEN_HEADER = 'x-gantry-token'
const BODY_MAX_BYTES = 128 * 1024
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
}

/** Not listening yet. */
export async function createWebServer(options: WebServerOptions): Promise<FastifyInstance> {
  const app = fastify({
    logger: false,
    bodyLimit: BODY_MAX_BYTES,
    requestTimeout: 15_000,
    keepAliveTimeout: 30_000,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 600 },
  })
  await app.register(cookie)
  app.addHook('onRequest', (request, reply, done) => {
    void reply.headers(SECURITY_HEADERS)
    if (request.url.startsWith('/api/')) void reply.header('cache-control', 'no-store')
    guardChange(options, request)
    done()
  })
  app.setErrorHandler((error, request, reply) => answerError(options, error, request, reply))
  app.setNotFoundHandler((_request, reply) =>
    reply.status(404).send({ error: 'there is no such page' }),
  )
  addHealth(app, options)
  addAssets(app, options.assets)
  addLogin(app, options)
  for (const route of API_ROUTES) addRoute(app, options, route)
  return app
}

/** Stands before all routes, so that none is without it: whatever may change something comes from our own page, and all but the login has the token. */
function guardChange(options: WebServerOptions, request: FastifyRequest): void {
  if (request.method === 'GET' || request.method === 'HEAD') return
  if (request.routeOptions.url === LOGIN) {
    checkOrigin(request)
    return
  }
  const session = sessionOf(options, request)
  checkOrigin(request)
  checkToken(request, session)
}

function answerError(
  { logger }: WebServerOptions,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  if (error instanceof TooManyAttempts) void reply.header('retry-after', error.seconds)
  const refusal = refusalOf(error)
  if (refusal !== null) return reply.status(refusal.status).send({ error: refusal.sentence })
  // Fastify's own: a body that is too large or no JSON.
  const status = statusOf(error)
  if (status !== null && status < 500) {
    return reply.status(status).send({ error: messageOf(error) })
  }
  logger.error({ err: error, path: request.routeOptions.url ?? '' }, 'a request of the page failed')
  return reply.status(500).send({ error: 'the console has a fault; its log says more' })
}

function statusOf(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return null
  return typeof error.statusCode === 'number' ? error.statusCode : null
}

function addHealth(app: FastifyInstance, { notReady, metrics }: WebServerOptions): void {
  app.get('/livez', () => 'ok\n')
  app.get('/readyz', (_request, reply) => {
    const problem = notReady()
    return problem === null ? reply.send('ok\n') : reply.status(503).send({ error: problem })
  })
  app.get('/metrics', async (_request, reply) => {
    const { body, contentType } = await metrics()
    return reply.header('content-type', contentType).send(body)
  })
}

function addAssets(app: FastifyInstance, assets: ReadonlyMap<string, Asset>): void {
  for (const [path, asset] of assets) {
    const url = path === 'page.html' ? '/' : `/${path}`
    app.get(url, (request, reply) => {
      void reply.headers({ etag: asset.etag, 'cache-control': 'no-cache', vary: 'accept-encoding' })
      if (request.headers['if-none-match'] === asset.etag) return reply.status(304).send()
      void reply.header('content-type', asset.contentType)
      const takesGzip = /\bgzip\b/u.test(request.headers['accept-encoding'] ?? '')
      if (!takesGzip) return reply.send(asset.body)
      return reply.header('content-encoding', 'gzip').send(asset.gzipped)
    })
  }
}

function addLogin(app: FastifyInstance, options: WebServerOptions): void {
  const { sessions, api, secureCookie, logger } = options
  app.post(LOGIN, async (request, reply) => {
    const fields = new Fields(request.body)
    const name = fields.text('name', 64)
    const password = fields.text('password', 256)
    const user = await api.passwords.check(name, password, request.ip)
    if (user === null) {
      logger.warn({ userName: name, remoteAddress: request.ip }, 'a login was refused')
      throw new ApiError('notLoggedIn', 'name or password is wrong')
    }
    const former = request.cookies[COOKIE]
    if (former !== undefined) sessions.end(former)
    const { token, session } = sessions.begin(user)
    logger.info({ userName: name, remoteAddress: request.ip }, 'a user has logged in')
    void reply.setCookie(COOKIE, token, {
      httpOnly: true,
      sameSite: 'strict',
      secure: secureCookie,
      path: '/',
    })
    return answerOf(session)
  })
  app.post('/api/logout', (request, reply) => {
    sessions.end(request.cookies[COOKIE] ?? '')
    return reply.clearCookie(COOKIE, { path: '/' }).send({})
  })
  app.get('/api/session', (request) => answerOf(sessionOf(options, request)))
}

function answerOf({ userName, role, csrf }: Session): SessionAnswer {
  return { userName, role, csrf }
}

function addRoute(app: FastifyInstance, options: WebServerOptions, route: ApiRoute): void {
  app.route({
    method: route.method,
    url: `/api${route.path}`,
    handler: async (request, reply) => {
      const asked = askedOf(request, sessionOf(options, request))
      const result =
        route.method === 'GET'
          ? await look(options, route, asked)
          : await act(options, route, asked)
      if (!(result instanceof Download)) return result
      return reply
        .headers({
          'content-type': result.contentType,
          'content-disposition': `attachment; filename="${result.fileName}"`,
        })
        .send(result.content)
    },
  })
}

function look({ api }: WebServerOptions, route: ApiRoute, asked: ApiRequest): unknown {
  checkRole(route, asked)
  return route.handle(api, asked)
}

/** Whatever becomes of it, it is written down. */
async function act(
  { api, clock, logger }: WebServerOptions,
  route: ApiRoute & { readonly what: (request: ApiRequest) => string },
  asked: ApiRequest,
): Promise<unknown> {
  const what = whatOf(route, asked)
  const { userName, address } = asked
  const tell = (result: string): void => {
    api.operations.add({ at: clock.now(), userName, address, what, result })
    logger.info({ userName, remoteAddress: address, what, result }, 'an administrator acted')
  }
  try {
    checkRole(route, asked)
    const result = await route.handle(api, asked)
    tell('done')
    // The page shows what has become of it.
    await api.collector.refresh()
    return result ?? {}
  } catch (error) {
    tell(refusalOf(error)?.sentence ?? 'failed')
    throw error
  }
}

/** What lacks a field is told by its path; the handler says which field. */
function whatOf(
  route: ApiRoute & { readonly what: (request: ApiRequest) => string },
  asked: ApiRequest,
): string {
  try {
    return route.what(asked)
  } catch (error) {
    if (error instanceof ApiError) return `${route.method} ${route.path}`
    throw error
  }
}

function checkRole({ role }: ApiRoute, asked: ApiRequest): void {
  if (ROLES.indexOf(asked.role) >= ROLES.indexOf(role)) return
  throw new ApiError('denied', `this is for the role ${role}; you are ${withArticle(asked.role)}`)
}

function withArticle(role: Role): string {
  return role === 'viewer' ? 'a viewer' : `an ${role}`
}

function sessionOf({ sessions }: WebServerOptions, request: FastifyRequest): Session {
  const token = request.cookies[COOKIE]
  const session = token === undefined ? null : sessions.find(token)
  if (session !== null) return session
  throw new ApiError('notLoggedIn', 'log in first')
}

function checkToken(request: FastifyRequest, session: Session): void {
  const token = request.headers[TOKEN_HEADER]
  if (typeof token === 'string' && isSameToken(token, session.csrf)) return
  throw new ApiError('denied', 'the request does not come from the page')
}

/**
 * Browsers say where a change comes from. `Sec-Fetch-Site` holds behind any proxy; where there is none, as from an old browser or without TLS,
 * the host of `Origin` is compared with the host that was asked.
 */
function checkOrigin({ headers }: FastifyRequest): void {
  const site = headers['sec-fetch-site']
  if (site !== undefined) {
    if (site === 'same-origin') return
    throw new ApiError('denied', 'the request comes from another site')
  }
  const { origin = '', host } = headers
  if (URL.canParse(origin) && new URL(origin).host === host) return
  throw new ApiError('denied', 'the request comes from another site')
}

function askedOf(request: FastifyRequest, { userName, role }: Session): ApiRequest {
  const url = new URL(request.url, 'http://console')
  const params: Record<string, string> = {}
  if (typeof request.params === 'object' && request.params !== null) {
    for (const [name, value] of Object.entries(request.params)) params[name] = String(value)
  }
  return {
    params,
    query: url.searchParams,
    body: new Fields(request.body ?? {}),
    userName,
    role,
    address: request.ip,
  }
}
