/** Everybody's own password. */
import type { ComponentChildren } from 'preact'
import { useContext, useState } from 'preact/hooks'
import { Field, Problem, ShellContext, formValues, html, useAct } from './ui.ts'

export function Account(): ComponentChildren {
  const { session } = useContext(ShellContext)
  const [problem, setProblem] = useState<string | null>(null)
  const act = useAct()
  const submit = async (event: Event): Promise<void> => {
    const values = formValues(event)
    const password = values.get('password') ?? ''
    if (password !== values.get('again')) {
      setProblem('The two new passwords are not the same.')
      return
    }
    setProblem(null)
    const body = { current: values.get('current') ?? '', password }
    const done = await act('POST', 'password', body, 'Your password was changed: log in with it.')
    // The session was of the former password.
    if (done !== null) location.reload()
  }
  return html`<h1>Your account</h1>
    <p>You are <b>${session.userName}</b>, with the role <b>${session.role}</b>.</p>
    <form class="panel narrow" onSubmit=${(event: Event) => void submit(event)}>
      <h2>Change your password</h2>
      <${Problem} text=${problem} />
      <${Field}
        label="Present password"
        name="current"
        type="password"
        required
        autocomplete="current-password"
      />
      <${Field}
        label="New password"
        name="password"
        type="password"
        required
        minlength=${10}
        autocomplete="new-password"
        hint="At least 10 characters."
      />
      <${Field}
        label="New password, again"
        name="again"
        type="password"
        required
        minlength=${10}
        autocomplete="new-password"
      />
      <div class="buttons"><button class="primary" type="submit">Change</button></div>
    </form>`
}
