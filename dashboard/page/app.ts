/** The page: login, navigation, and what the address asks for. */
import { render } from 'preact'
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { SessionAnswer } from '../api-types.ts'
import { AccessUser, AccessUsers } from './access-page.ts'
import { Account } from './account-page.ts'
import { Alarms } from './alarms-page.ts'
import { Brokers } from './brokers-page.ts'
import { DeadLetters, DeadLettersOf } from './dead-letters-page.ts'
import { Connections, Events, Operations } from './record-pages.ts'
import { Group } from './group-page.ts'
import { Groups } from './groups-page.ts'
import { Messages } from './messages-page.ts'
import { Overview } from './overview-page.ts'
import { Refusal, currentSession, login, onSessionEnd, send } from './server.ts'
import { Topic } from './topic-page.ts'
import { Topics } from './topics-page.ts'
import { Field, Problem, ShellContext, formValues, html } from './ui.ts'
import { Users } from './users-page.ts'

interface Page {
  readonly path: string
  readonly label: string
  /** With the parts of the address behind the path. */
  readonly view: (parts: readonly string[]) => unknown
  readonly isForAdmins?: boolean
}

const PAGES: readonly Page[] = [
  { path: '', label: 'Overview', view: () => html`<${Overview} />` },
  { path: 'alarms', label: 'Alarms', view: () => html`<${Alarms} />` },
  { path: 'brokers', label: 'Broker groups', view: () => html`<${Brokers} />` },
  {
    path: 'topics',
    label: 'Topics',
    view: ([name]) =>
      name === undefined ? html`<${Topics} />` : html`<${Topic} key=${name} name=${name} />`,
  },
  {
    path: 'groups',
    label: 'Consumer groups',
    view: ([name]) =>
      name === undefined ? html`<${Groups} />` : html`<${Group} key=${name} name=${name} />`,
  },
  {
    path: 'messages',
    label: 'Messages',
    view: ([topic]) => html`<${Messages} key=${topic ?? ''} topic=${topic} />`,
  },
  {
    path: 'dead-letters',
    label: 'Dead letters',
    view: ([name]) =>
      name === undefined
        ? html`<${DeadLetters} />`
        : html`<${DeadLettersOf} key=${name} group=${name} />`,
  },
  { path: 'connections', label: 'Connections', view: () => html`<${Connections} />` },
  { path: 'events', label: 'Events', view: () => html`<${Events} />` },
  { path: 'operations', label: 'Operations', view: () => html`<${Operations} />` },
  {
    path: 'access',
    label: 'Broker users',
    view: ([name]) =>
      name === undefined
        ? html`<${AccessUsers} />`
        : html`<${AccessUser} key=${name} name=${name} />`,
  },
  { path: 'users', label: 'Users', view: () => html`<${Users} />`, isForAdmins: true },
]
const SAID_FOR_MS = 6_000
const THEMES = ['system', 'light', 'dark'] as const
type Theme = (typeof THEMES)[number]
const SIGNS: Readonly<Record<Theme, string>> = { system: '◐', light: '☀', dark: '☾' }

function App(): ComponentChildren {
  const [session, setSession] = useState<SessionAnswer | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const [isKnown, setKnown] = useState(false)
  useEffect(() => {
    currentSession()
      .then(setSession, (error: unknown) => setProblem(String(error)))
      .finally(() => setKnown(true))
    return onSessionEnd(() => setSession(null))
  }, [])
  if (!isKnown) return html`<p class="loading">The console is loading …</p>`
  if (session === null) return html`<${Login} problem=${problem} onLogin=${setSession} />`
  return html`<${Frame} session=${session} onLogout=${() => setSession(null)} />`
}

function Login({
  problem,
  onLogin,
}: {
  readonly problem: string | null
  readonly onLogin: (session: SessionAnswer) => void
}): ComponentChildren {
  const [refusal, setRefusal] = useState(problem)
  const [isBusy, setBusy] = useState(false)
  const submit = async (event: Event): Promise<void> => {
    const values = formValues(event)
    setBusy(true)
    try {
      onLogin(await login(values.get('name') ?? '', values.get('password') ?? ''))
    } catch (error) {
      setRefusal(error instanceof Refusal ? error.message : String(error))
    }
    setBusy(false)
  }
  return html`<main class="login">
    <form onSubmit=${(event: Event) => void submit(event)}>
      <h1><img src="icon.svg" alt="" width="28" height="28" /> Gantry</h1>
      <${Problem} text=${refusal} />
      <${Field} label="Name" name="name" required autocomplete="username" />
      <${Field}
        label="Password"
        name="password"
        type="password"
        required
        autocomplete="current-password"
      />
      <button class="primary" type="submit" disabled=${isBusy}>
        ${isBusy ? 'Checking …' : 'Log in'}
      </button>
      <p class="hint">
        The first user is <code>admin</code>. Its password stands in
        <code>initial-password</code> of the console's data folder.
      </p>
    </form>
  </main>`
}

function useAddress(): readonly string[] {
  const read = (): readonly string[] =>
    (location.hash.replace(/^#\/?/u, '').split('?')[0] ?? '')
      .split('/')
      .filter((text) => text !== '')
      .map(decoded)
  const [parts, setParts] = useState(read)
  useEffect(() => {
    const changed = (): void => setParts(read())
    window.addEventListener('hashchange', changed)
    return () => window.removeEventListener('hashchange', changed)
  }, [])
  return parts
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function Frame({
  session,
  onLogout,
}: {
  readonly session: SessionAnswer
  readonly onLogout: () => void
}): ComponentChildren {
  const [path = '', ...rest] = useAddress()
  const [said, setSaid] = useState<{ readonly text: string; readonly kind: string } | null>(null)
  const [isOpen, setOpen] = useState(false)
  const page = PAGES.find((each) => each.path === path)
  const title = path === 'account' ? 'Your account' : (page?.label ?? 'Not found')
  useEffect(() => {
    document.title = `${rest[0] ?? title} · Gantry`
    setOpen(false)
    document.querySelector('main')?.focus()
  }, [path, rest.join('/')])
  useEffect(() => {
    if (said === null) return undefined
    const timer = window.setTimeout(() => setSaid(null), SAID_FOR_MS)
    return () => window.clearTimeout(timer)
  }, [said])
  const say = (text: string, kind: 'done' | 'error' = 'done'): void => setSaid({ text, kind })
  const logout = (): void => void send('POST', 'logout').finally(onLogout)
  const shown = PAGES.filter(({ isForAdmins }) => isForAdmins !== true || session.role === 'admin')
  return html`<${ShellContext.Provider} value=${{ session, say }}>
    <a class="skip" href="#main" onClick=${(event: Event) => skip(event)}>To the content</a>
    <header class="top">
      <button class="menu" type="button" aria-expanded=${isOpen} aria-controls="navigation" onClick=${() => setOpen(!isOpen)}>Menu</button>
      <a class="brand" href="#/"><img src="icon.svg" alt="" width="22" height="22" /> Gantry</a>
      <span class="grow"></span>
      <${ThemeSwitch} />
      <a href="#/account">${session.userName} <span class="role">(${session.role})</span></a>
      <button type="button" class="quiet" onClick=${logout}>Log out</button>
    </header>
    <div class="frame">
      <nav id="navigation" class=${isOpen ? 'open' : ''} aria-label="Pages of the console">
        ${shown.map((each) => html`<a href=${`#/${each.path}`} aria-current=${each.path === path ? 'page' : undefined}>${each.label}</a>`)}
      </nav>
      <main id="main" tabindex="-1">
        ${path === 'account' ? html`<${Account} />` : page === undefined ? html`<h1>There is no such page</h1>` : page.view(rest)}
      </main>
    </div>
    <div class=${`said ${said?.kind ?? ''}`} role="status" aria-live="polite">${said?.text ?? ''}</div>
  </>`
}

function skip(event: Event): void {
  event.preventDefault()
  document.querySelector('main')?.focus()
}

function ThemeSwitch(): ComponentChildren {
  const [theme, setTheme] = useState<Theme>(storedTheme())
  useEffect(() => {
    if (theme === 'system') delete document.documentElement.dataset['theme']
    else document.documentElement.dataset['theme'] = theme
    localStorage.setItem('theme', theme)
  }, [theme])
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system'
  return html`<button
    type="button"
    class="quiet theme"
    title=${`Colours: ${theme}; next: ${next}`}
    onClick=${() => setTheme(next)}
  >
    <span aria-hidden="true">${SIGNS[theme]}</span><span class="unseen">Colours: ${theme}</span>
  </button>`
}

function storedTheme(): Theme {
  const stored = localStorage.getItem('theme')
  return THEMES.find((theme) => theme === stored) ?? 'system'
}

const target = document.getElementById('app')
if (target !== null) {
  target.replaceChildren()
  render(html`<${App} />`, target)
}
