/** The commands of `gantry` as administrators type them: contexts, formats, dry runs, questions, exit codes, completion. */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import type { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { startDevServer } from './dev-server.ts'
import type { DevServer } from './dev-server.ts'
import { ROOT, run } from './environment.ts'

const GANTRY = join(ROOT, 'gantry')
/** Nobody listens there. */
const NOBODY = '127.0.0.1:1'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

let server: DevServer
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gantry-cli-'))
  server = await startDevServer({ portOffset: 6300, groups: 2, config: {} })
  await gantry('context', 'set', 'here', server.namesrv)
})

afterAll(async () => {
  await server?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

/** Of a user with contexts of its own; nobody can be asked, since standard input is no terminal. */
function start(args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
  const env = { ...process.env, XDG_CONFIG_HOME: folder, NAMESRV_ADDR: '' }
  return spawn(GANTRY, [...args], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
}

function gantry(...args: readonly string[]): Promise<Ended> {
  return endOf(start(args))
}

function endOf(child: ReturnType<typeof start>): Promise<Ended> {
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString('utf8')))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}

describe('contexts', () => {
  test('the first one is in use, another one on demand, and one that is gone is not found', async () => {
    await gantry('context', 'set', 'nowhere', NOBODY)

    const list = await gantry('context', 'list')
    const here = await gantry('cluster', 'describe', '-o', 'name')
    const nowhere = await gantry('topic', 'list', '--context', 'nowhere')
    await gantry('context', 'use', 'nowhere')
    const used = await gantry('topic', 'list')
    await gantry('context', 'use', 'here')
    await gantry('context', 'delete', 'nowhere')
    const gone = await gantry('topic', 'list', '--context', 'nowhere')

    expect(list.stdout).toMatch(/^here \* +\S+\nnowhere +127\.0\.0\.1:1$/mu)
    expect(here.code).toBe(0)
    expect(nowhere).toMatchObject({ code: 5, stderr: expect.stringContaining(NOBODY) })
    expect(used.code).toBe(5)
    expect(gone).toMatchObject({ code: 3, stderr: 'gantry: there is no context nowhere\n' })
  })

  test('-n counts more than the context, and that more than nothing', async () => {
    expect((await gantry('topic', 'list', '-n', NOBODY)).code).toBe(5)
    expect((await gantry('topic', 'list', '-n', NOBODY, '--context', 'here')).code).toBe(5)
  })

  test('a damaged file of contexts is named', async () => {
    const path = join(folder, 'gantry', 'contexts.json')
    const before = await readFile(path, 'utf8')
    await writeFile(path, '{')

    const failed = await gantry('topic', 'list')
    await writeFile(path, before)

    expect(failed.code).not.toBe(0)
    expect(failed.stderr).toContain(path)
  })
})

describe('topics', () => {
  test('a dry run says what would be done, and does nothing', async () => {
    const dry = await gantry('topic', 'create', 'Dry', '--queues', '2', '--dry-run')

    expect(dry.code).toBe(0)
    expect(dry.stderr.match(/would create topic Dry on e2e-broker-\d/gu)).toHaveLength(2)
    expect((await gantry('topic', 'describe', 'Dry')).code).toBe(3)
  })

  test('the same in each format', async () => {
    await gantry('topic', 'create', 'Formats', '--queues', '2')

    const table = await gantry('topic', 'list')
    const json: unknown = JSON.parse((await gantry('topic', 'list', '-o', 'json')).stdout)
    const yaml: unknown = parse((await gantry('topic', 'list', '-o', 'yaml')).stdout)
    const names = await gantry('topic', 'list', '-o', 'name')

    expect(table.stdout).toMatch(/^TOPIC +TYPE .*\n(?:.*\n)*Formats +NORMAL +2 +4 +RW-$/mu)
    expect(json).toContainEqual(
      expect.objectContaining({ topic: 'Formats', brokers: 2, queues: 4 }),
    )
    expect(yaml).toEqual(json)
    expect(names.stdout.split('\n')).toContain('Formats')
  })

  test('what cannot be taken back is not done unless somebody says so', async () => {
    await gantry('topic', 'create', 'Doomed')

    const refused = await gantry('topic', 'delete', 'Doomed')
    const kept = await gantry('topic', 'describe', 'Doomed')
    const deleted = await gantry('topic', 'delete', 'Doomed', '--yes')

    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes is needed') })
    expect(kept.code).toBe(0)
    expect(deleted.code).toBe(0)
    expect((await gantry('topic', 'describe', 'Doomed')).code).toBe(3)
  })

  test.each([
    ['an unknown flag', ['topic', 'list', '--nope'], 2, '--nope'],
    ['an unknown format', ['topic', 'list', '-o', 'xml'], 2, 'xml'],
    ['an unknown topic', ['topic', 'describe', 'Nope'], 3, 'there is no topic Nope'],
    ['an unknown group', ['group', 'describe', 'Nope'], 3, 'Nope'],
    ['no name', ['topic', 'create'], 2, "'topic'"],
    ['a bad name', ['topic', 'create', 'a b'], 1, 'a b'],
  ])('%s has its exit code, and is named', async (_what, args, code, named) => {
    const failed = await gantry(...args)

    expect(failed).toMatchObject({ code, stderr: expect.stringContaining(named) })
    expect(failed.stdout).toBe('')
  })
})

describe('messages and groups', () => {
  test('a message is sent, found by key and id, and consumed', async () => {
    await gantry('topic', 'create', 'Orders', '--queues', '1')
    const sent = await gantry('message', 'send', 'Orders', '{"id":7}', '--keys', '7', '-o', 'json')
    const { id } = JSON.parse(sent.stdout) as { readonly id: string }

    const byKey = await gantry('message', 'get', '7', '--topic', 'Orders', '--key', '-o', 'json')
    const byId = await gantry('message', 'get', id, '--topic', 'Orders')
    const absent = await gantry('message', 'get', 'nothing', '--topic', 'Orders', '--key')
    const consumed = await gantry(
      'message',
      'consume',
      'Orders',
      '--group',
      'billing',
      '--count',
      '1',
    )

    expect(JSON.parse(byKey.stdout)).toEqual([
      expect.objectContaining({ id, topic: 'Orders', keys: '7', body: '{"id":7}' }),
    ])
    expect(byId.stdout).toContain('{"id":7}')
    expect(absent.code).toBe(3)
    expect(consumed.stdout).toContain('{"id":7}')
  })

  test('lag is told again and again until it is interrupted', async () => {
    const watching = start(['group', 'lag', 'billing', '--watch'])
    let told = ''
    const interrupt = (chunk: Buffer): void => {
      told += chunk.toString('utf8')
      if (told.split('TOPIC').length <= 2) return
      watching.stdout.off('data', interrupt)
      watching.kill('SIGINT')
    }
    watching.stdout.on('data', interrupt)

    const watched = await endOf(watching)

    expect(watched.code).toBe(0)
    expect(watched.stdout.match(/^Orders .*\b0\b/gmu)?.length).toBeGreaterThanOrEqual(2)
  })

  test('a reset shows how far each queue moves before it asks', async () => {
    const shown = await gantry('group', 'reset', 'billing', '--topic', 'Orders', '--to', 'start')
    const done = await gantry(
      'group',
      'reset',
      'billing',
      '--topic',
      'Orders',
      '--to',
      'start',
      '--yes',
    )
    const lag: unknown = JSON.parse((await gantry('group', 'lag', 'billing', '-o', 'json')).stdout)

    expect(shown).toMatchObject({ code: 2, stdout: expect.stringMatching(/ 1 +0 +-1$/mu) })
    expect(done.code).toBe(0)
    expect(JSON.stringify(lag)).toContain('"lag":1')
  })
})

async function lagOf(group: string): Promise<unknown> {
  const { lag } = JSON.parse((await gantry('group', 'lag', group, '-o', 'json')).stdout) as {
    readonly lag: unknown
  }
  return lag
}

describe('files', () => {
  test('definitions of one cluster make another one the same, and then change nothing', async () => {
    const file = join(folder, 'definitions.yaml')
    await gantry('topic', 'create', 'Kept', '--queues', '3', '--type', 'FIFO')
    const exported = await gantry('definitions', 'export')
    await writeFile(file, exported.stdout)
    await gantry('topic', 'delete', 'Kept', '--yes')

    const dry = await gantry('definitions', 'import', file, '--dry-run')
    const imported = await gantry('definitions', 'import', file)
    const again = await gantry('definitions', 'import', file)
    const topics = await gantry('topic', 'list')

    expect(dry.stderr).toContain('would create topic Kept on e2e-broker-1')
    expect(imported.stderr).toMatch(/: 2 changes$/mu)
    expect(again.stderr).toMatch(/: 0 changes$/mu)
    expect(topics.stdout).toMatch(/^Kept +FIFO +2 +6 /mu)
    expect((await gantry('definitions', 'export')).stdout).toBe(exported.stdout)
  })

  test('definitions hold users without their secrets, and what they may do', async () => {
    const file = join(folder, 'users.yaml')
    const secret = (await gantry('user', 'create', 'shop')).stdout.trim()
    await gantry('user', 'create', 'boss', '--type', 'Super')
    await gantry('acl', 'set', 'shop', 'Topic:Orders*', '--actions', 'Pub,Sub')
    const exported = await gantry('definitions', 'export')
    await writeFile(file, exported.stdout)
    await gantry('user', 'delete', 'shop', '--yes')

    const imported = await gantry('definitions', 'import', file)
    const again = await gantry('definitions', 'import', file)
    const asked = await gantry('admin', 'getUser', '-c', 'e2e', '-u', 'shop')

    expect(exported.stdout).not.toContain(secret)
    expect(exported.stdout).not.toContain('boss')
    expect(imported.stderr).toMatch(/: 4 changes$/mu)
    const made = /^shop (\S{24})$/mu.exec(imported.stdout)?.[1]
    expect(asked.stdout).toMatch(new RegExp(`^shop +${made} +Normal +enable`, 'mu'))
    expect(again).toMatchObject({ stdout: '', stderr: expect.stringMatching(/: 0 changes$/mu) })
    expect((await gantry('definitions', 'export')).stdout).toBe(exported.stdout)
  })

  test('a user that one broker group lacks gets the secret that it has elsewhere', async () => {
    const file = join(folder, 'shared.yaml')
    await writeFile(file, 'version: 1\nusers: [{ username: shared }]\n')
    const secret = (await gantry('user', 'create', 'shared')).stdout.trim()
    const routes = await gantry('admin', 'clusterList')
    const [, second = ''] = /e2e-broker-1 +0 +(\S+)/u.exec(routes.stdout) ?? []
    await gantry('admin', 'deleteUser', '-b', second, '-u', 'shared')

    const imported = await gantry('definitions', 'import', file)
    const asked = await gantry('admin', 'getUser', '-b', second, '-u', 'shared')

    expect(imported).toMatchObject({ stdout: '', stderr: expect.stringMatching(/: 1 changes$/mu) })
    expect(asked.stdout).toContain(` ${secret} `)
  })

  test('offsets are in the file, and set again, only when that is said', async () => {
    const file = join(folder, 'offsets.yaml')
    await gantry('topic', 'create', 'Read', '--queues', '1')
    for (const text of ['a', 'b', 'c']) await gantry('message', 'send', 'Read', text)
    await gantry('message', 'consume', 'Read', '--group', 'reader', '--count', '2')
    const plain = await gantry('definitions', 'export')
    const exported = await gantry('definitions', 'export', '--offsets')
    await writeFile(file, exported.stdout)
    await gantry('group', 'reset', 'reader', '--topic', 'Read', '--to', 'start', '--yes')

    const without = await gantry('definitions', 'import', file)
    const far = await lagOf('reader')
    const withOffsets = await gantry('definitions', 'import', file, '--offsets')
    const near = await lagOf('reader')

    expect(plain.stdout).not.toContain('offsets')
    expect(without.stderr).toContain('are left alone without --offsets')
    expect(withOffsets).toMatchObject({ code: 0 })
    expect([far, near]).toEqual([3, 1])
  })

  test('definitions that are none are refused with the reason', async () => {
    const file = join(folder, 'bad.yaml')
    await writeFile(file, 'version: 2\n')

    const refused = await gantry('definitions', 'import', file)

    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('version') })
  })

  test('a bundle has what the cluster says of itself, and neither messages nor secrets', async () => {
    const file = join(folder, 'bundle.json')

    const written = await gantry('debug', 'bundle', '-f', file)
    const text = await readFile(file, 'utf8')

    expect(written).toMatchObject({ code: 0, stderr: expect.stringContaining(file) })
    expect(JSON.parse(text)).toMatchObject({
      nameServers: [{ address: server.namesrv }],
      brokers: [{ brokerName: 'e2e-broker-0' }, { brokerName: 'e2e-broker-1' }],
    })
    expect(text).toContain('"billing"')
    expect(text).not.toContain('{\\"id\\":7}')
  })
})

describe('completion', () => {
  test.each([
    [
      'bash',
      `. "$1"; COMP_WORDS=(gantry group dea); COMP_CWORD=2; _gantry; echo "\${COMPREPLY[@]}"
      COMP_WORDS=(gantry topic create --que); COMP_CWORD=3; _gantry; echo "\${COMPREPLY[@]}"`,
    ],
    [
      'fish',
      'source $argv[1]; complete -C "gantry group dea"; complete -C "gantry topic create --que"',
    ],
    // What a user sees who presses the key, in a terminal of its own.
    [
      'zsh',
      `zmodload zsh/zpty; zpty user 'TERM=dumb zsh -f -i'
      zpty -w user "autoload -U compinit && compinit -u -D; source $1; bindkey '^I' complete-word; echo REA''DY"
      zpty -r -m user text '*READY*'
      zpty -w -n user $'gantry group dea\\t'; zpty -r -m user text '*dead-letters*'; print -r -- $text
      zpty -w -n user $'\\C-ugantry topic create --que\\t'; zpty -r -m user text '*--queues*'; print -r -- $text`,
    ],
  ])('%s completes commands and flags', { timeout: 30_000 }, async (shell, script) => {
    const file = join(folder, shell)
    await writeFile(file, (await gantry('completion', shell)).stdout)

    const { stdout } = await run(
      shell,
      ['-c', script, ...(shell === 'fish' ? [] : [shell]), file],
      {
        timeoutMs: 20_000,
      },
    )

    expect(stdout).toContain('dead-letters')
    expect(stdout).toContain('--queues')
  })
})
