/** `gantry user`: who may use the brokers. */
import { readFileSync } from 'node:fs'
import { Option } from 'commander'
import type { Command } from 'commander'
import { AuthAdmin } from '../../../client/auth-admin.ts'
import { USER_STATUSES, USER_TYPES } from '../../../common/access-names.ts'
import type { UserStatus, UserType } from '../../../common/access-names.ts'
import { mergeUsers } from '../../../client/cluster-users.ts'
import type { ClusterUser } from '../../../client/cluster-users.ts'
import { acting, changingVerb, destroyingVerb, isAllowed, isMeant, show, verb } from '../modern.ts'
import type { CommonFlags } from '../modern.ts'
import { makeCommand } from '../program.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'

interface CreateFlags extends CommonFlags {
  readonly type: UserType
  readonly secretFile?: string
}

interface UpdateFlags extends CommonFlags {
  readonly type?: UserType
  readonly status?: UserStatus
  readonly secretFile?: string
  readonly newSecret?: boolean
}

const SECRET_BYTES = 18
const STANDARD_INPUT = 0

/** Of all broker groups: each has users of its own. */
export async function usersOf(session: Session): Promise<readonly ClusterUser[]> {
  const auth = new AuthAdmin(session.admin)
  const answers = []
  for (const { address, brokerName } of await session.leaders()) {
    answers.push({ brokerName, entries: await auth.users(address) })
  }
  return mergeUsers(answers)
}

async function list(session: Session, flags: CommonFlags): Promise<void> {
  const users = await usersOf(session)
  show(session, flags, {
    columns: ['user', 'type', 'status', 'on', 'same'],
    rows: users.map(({ name, type, status, on, isSame }) => ({
      user: name,
      type,
      status,
      on: on.join(','),
      same: isSame ? 'yes' : 'no',
    })),
    data: users,
  })
}

async function create(
  session: Session,
  flags: CreateFlags,
  [name = '']: readonly string[],
): Promise<void> {
  const { secret, isMade } = secretOf(session, flags.secretFile)
  const auth = new AuthAdmin(session.admin)
  const user = { password: secret, userType: flags.type }
  const leaders = await session.leaders()
  const known = (await usersOf(session)).find((one) => one.name === name)
  if (known !== undefined && known.on.length >= leaders.length) {
    throw new AdminError('failed', `there is a user ${name} already`)
  }
  if (!isMeant(session, flags, `create user ${name} on ${leaders.length} broker groups`)) return
  for (const { address, brokerName } of leaders) {
    // Where a former attempt has come to already, the user gets this secret too.
    const isThere = known?.on.includes(brokerName) === true
    await (isThere ? auth.updateUser(address, name, user) : auth.createUser(address, name, user))
    session.options.warn(`created ${name} on ${brokerName}`)
  }
  if (isMade) session.line(secret)
}

async function update(
  session: Session,
  flags: UpdateFlags,
  [name = '']: readonly string[],
): Promise<void> {
  const isNew = flags.newSecret === true || flags.secretFile !== undefined
  if (!isNew && flags.type === undefined && flags.status === undefined) {
    throw new AdminError('usage', 'say --type, --status, --new-secret or --secret-file')
  }
  const { secret, isMade } = secretOf(session, flags.secretFile)
  const auth = new AuthAdmin(session.admin)
  const change = {
    ...(isNew ? { password: secret } : {}),
    ...(flags.type === undefined ? {} : { userType: flags.type }),
    ...(flags.status === undefined ? {} : { userStatus: flags.status }),
  }
  await need(session, name)
  for (const { address, brokerName } of await session.leaders()) {
    if (!isMeant(session, flags, `change user ${name} on ${brokerName}`)) continue
    await auth.updateUser(address, name, change)
    session.options.warn(`changed ${name} on ${brokerName}`)
  }
  if (isNew && isMade && flags.dryRun !== true) session.line(secret)
}

async function remove(
  session: Session,
  flags: CommonFlags,
  [name = '']: readonly string[],
): Promise<void> {
  const { on } = await need(session, name)
  const what = `delete user ${name} and its permissions from ${on.length} broker groups`
  if (!(await isAllowed(session, flags, what))) return
  const auth = new AuthAdmin(session.admin)
  for (const { address } of await session.leaders()) await auth.deleteUser(address, name)
  session.options.warn(`deleted ${name}`)
}

async function need(session: Session, name: string): Promise<ClusterUser> {
  const found = (await usersOf(session)).find((user) => user.name === name)
  if (found !== undefined) return found
  throw new AdminError('notFound', `there is no user ${name}`)
}

export function newSecret(session: Session): string {
  return session.options.runtime.random.bytes(SECRET_BYTES).toString('base64url')
}

/** From a file, so that it stands in no list of processes; made when none is given. */
function secretOf(
  session: Session,
  file: string | undefined,
): { readonly secret: string; readonly isMade: boolean } {
  if (file === undefined) {
    return { secret: newSecret(session), isMade: true }
  }
  let text: string
  try {
    text = readFileSync(file === '-' ? STANDARD_INPUT : file, 'utf8')
  } catch (error) {
    throw new AdminError('usage', `--secret-file ${file} cannot be read`, error)
  }
  const secret = text.split('\n')[0]?.trim() ?? ''
  if (secret === '') throw new AdminError('usage', `--secret-file ${file} is empty`)
  return { secret, isMade: false }
}

const typeOption = (): Option =>
  new Option('--type <type>', 'Super may do everything').choices(USER_TYPES)

export function userCommand(): Command {
  const noun = makeCommand('user', 'users of the brokers: list, create, update, delete')
  noun.addCommand(acting<CommonFlags>(verb('list', 'without their secrets'), list))
  noun.addCommand(
    acting<CreateFlags>(
      changingVerb(
        'create',
        'make a user on all broker groups; prints a secret unless one is given',
      )
        .argument('<user>')
        .addOption(typeOption().default('Normal'))
        .option('--secret-file <path>', 'its first line; - for standard input'),
      create,
    ),
  )
  noun.addCommand(
    acting<UpdateFlags>(
      changingVerb('update', 'change a user on all broker groups')
        .argument('<user>')
        .addOption(typeOption())
        .addOption(new Option('--status <status>', 'of its requests').choices(USER_STATUSES))
        .option('--new-secret', 'make a secret and print it')
        .option('--secret-file <path>', 'a secret; - for standard input'),
      update,
    ),
  )
  noun.addCommand(
    acting<CommonFlags>(
      destroyingVerb('delete', 'with its permissions').argument('<user>'),
      remove,
    ),
  )
  return noun
}
