/** Requests to the console's server. */
import type { SessionAnswer } from '../api-types.ts'

/** Why the server did not do it, in its own words. */
export class Refusal extends Error {
  readonly status: number

  constructor(status: number, sentence: string) {
    super(sentence)
    this.status = status
  }
}

/** Whoever shows the login is told when the session has ended. */
const listeners = new Set<() => void>()
let token = ''

export function onSessionEnd(listener: () => void): () => void {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

/** The answer is of the type that the server of the same version gives. */
export async function get<Answer>(path: string): Promise<Answer> {
  return request<Answer>('GET', path)
}

export async function send<Answer>(
  method: 'POST' | 'PUT' | 'DELETE',
  path: string,
  body: unknown = {},
): Promise<Answer> {
  return request<Answer>(method, path, body)
}

export async function login(name: string, password: string): Promise<SessionAnswer> {
  return remember(await request<SessionAnswer>('POST', 'login', { name, password }))
}

/** Null: nobody is logged in. */
export async function currentSession(): Promise<SessionAnswer | null> {
  try {
    return remember(await request<SessionAnswer>('GET', 'session', undefined, true))
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) return null
    throw error
  }
}

function remember(session: SessionAnswer): SessionAnswer {
  token = session.csrf
  return session
}

async function request<Answer>(
  method: string,
  path: string,
  body?: unknown,
  isQuiet: boolean = false,
): Promise<Answer> {
  let response: Response
  try {
    response = await fetch(`api/${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(method === 'GET' ? {} : { 'x-gantry-token': token }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  } catch {
    throw new Refusal(0, 'the console does not answer')
  }
  const text = await response.text()
  if (response.ok) return answerOf<Answer>(text)
  if (response.status === 401 && !isQuiet && path !== 'login') {
    for (const listener of listeners) listener()
  }
  throw new Refusal(response.status, sentenceOf(text) ?? `the console answers ${response.status}`)
}

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the type of an answer is known where it is asked for only
function answerOf<Answer>(text: string): Answer {
  // Page and server are of one version: what the server sends is what it is declared to send (api-types.ts).
  const answer: Answer = JSON.parse(text === '' ? '{}' : text)
  return answer
}

function sentenceOf(text: string): string | null {
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed !== 'object' || parsed === null || !('error' in parsed)) return null
    return String(parsed.error)
  } catch {
    return null
  }
}

/** `a=1&b=2`; what is null or empty is left out. */
export function queryOf(values: Readonly<Record<string, string | number | null>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== '') query.set(name, String(value))
  }
  return query.toString()
}
