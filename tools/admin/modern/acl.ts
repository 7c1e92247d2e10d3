/** `gantry acl`: what users of the brokers may do. */
import { Option } from 'commander'
import type { Command } from 'commander'
import { AuthAdmin } from '../../../client/auth-admin.ts'
import { mergePermissions } from '../../../client/cluster-users.ts'
import type { ClusterPermission } from '../../../client/cluster-users.ts'
import { ACTIONS, DECISIONS, POLICY_TYPES, subjectOf } from '../../../common/access-names.ts'
import type { Decision, PolicyType } from '../../../common/access-names.ts'
import { acting, changingVerb, destroyingVerb, isAllowed, isMeant, show, verb } from '../modern.ts'
import type { CommonFlags } from '../modern.ts'
import { makeCommand } from '../program.ts'
import { AdminError } from '../session.ts'
import type { Session } from '../session.ts'

interface ListFlags extends CommonFlags {
  readonly user?: string
  readonly resource?: string
}

interface SetFlags extends CommonFlags {
  readonly actions: string
  readonly decision: Decision
  readonly sourceIps?: string
  readonly policy: PolicyType
}

interface DeleteFlags extends CommonFlags {
  readonly policy: PolicyType
}

/** Of all broker groups. */
export async function permissionsIn(
  session: Session,
  { user, resource }: { readonly user?: string; readonly resource?: string } = {},
): Promise<readonly ClusterPermission[]> {
  const auth = new AuthAdmin(session.admin)
  const filters = user === undefined ? {} : { subjectFilter: subjectOf(user) }
  const answers = []
  for (const { address, brokerName } of await session.leaders()) {
    answers.push({ brokerName, entries: await auth.acls(address, filters) })
  }
  return mergePermissions(answers).filter(
    (each) =>
      (user === undefined || each.user === user) &&
      (resource === undefined || each.resource.includes(resource)),
  )
}

async function list(session: Session, flags: ListFlags): Promise<void> {
  const permissions = await permissionsIn(session, flags)
  show(session, flags, {
    columns: ['user', 'resource', 'decision', 'actions', 'from', 'policy', 'on', 'same'],
    rows: permissions.map((each) => ({
      user: each.user,
      resource: each.resource,
      decision: each.decision,
      actions: each.actions.join(','),
      from: each.sourceIps.length === 0 ? '*' : each.sourceIps.join(','),
      policy: each.policyType,
      on: each.on.join(','),
      same: each.isSame ? 'yes' : 'no',
    })),
    data: permissions,
  })
}

async function set(
  session: Session,
  flags: SetFlags,
  [user = '', resource = '']: readonly string[],
): Promise<void> {
  const entry = {
    resource,
    actions: namesIn(flags.actions).map(actionNamed),
    sourceIps: namesIn(flags.sourceIps ?? ''),
    decision: flags.decision,
  }
  if (entry.actions.length === 0) throw new AdminError('usage', '--actions is empty')
  const auth = new AuthAdmin(session.admin)
  const sentence = `${flags.decision.toLowerCase()} ${user} ${entry.actions.join(', ')} on ${resource}`
  for (const { address, brokerName } of await session.leaders()) {
    if (!isMeant(session, flags, `${sentence} on ${brokerName}`)) continue
    const policies = [{ policyType: flags.policy, entries: [entry] }]
    await auth.putAcl(address, subjectOf(user), policies)
    session.options.warn(`${brokerName}: ${sentence}`)
  }
}

async function remove(
  session: Session,
  flags: DeleteFlags,
  [user = '', resource]: readonly string[],
): Promise<void> {
  const found = (await permissionsIn(session, { user })).filter(
    (each) =>
      resource === undefined || (each.resource === resource && each.policyType === flags.policy),
  )
  if (found.length === 0) {
    const about = resource === undefined ? '' : ` on ${resource}`
    throw new AdminError('notFound', `${user} has no permission${about}`)
  }
  const what = `take ${found.length} permissions from ${user}`
  if (!(await isAllowed(session, flags, what))) return
  const auth = new AuthAdmin(session.admin)
  for (const { address } of await session.leaders()) {
    const entry = resource === undefined ? {} : { resource, policyType: flags.policy }
    await auth.deleteAcl(address, subjectOf(user), entry)
  }
  session.options.warn(`took ${found.length} permissions from ${user}`)
}

function namesIn(text: string): readonly string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

function actionNamed(text: string): string {
  const found = ACTIONS.find((action) => action.toLowerCase() === text.toLowerCase())
  if (found !== undefined) return found
  throw new AdminError('usage', `--actions has ${text}, which is none of ${ACTIONS.join(', ')}`)
}

const policyOption = (): Option =>
  new Option('--policy <type>', 'Default counts where no Custom one does')
    .choices(POLICY_TYPES)
    .default('Custom')

export function aclCommand(): Command {
  const noun = makeCommand('acl', 'what users of the brokers may do: list, set, delete')
  noun.addCommand(
    acting<ListFlags>(
      verb('list', 'all permissions')
        .option('-u, --user <name>', 'of this user')
        .option('-r, --resource <text>', 'whose resource contains this'),
      list,
    ),
  )
  noun.addCommand(
    acting<SetFlags>(
      changingVerb('set', 'allow or deny, on all broker groups')
        .argument('<user>')
        .argument('<resource>', 'Topic:orders, Topic:orders*, Group:billing, Cluster:*, *')
        .requiredOption('-a, --actions <list>', ACTIONS.join(','))
        .addOption(
          new Option('--decision <decision>', 'what is said of them')
            .choices(DECISIONS)
            .default('Allow'),
        )
        .option('--source-ips <list>', 'addresses and ranges; everywhere when not given')
        .addOption(policyOption()),
      set,
    ),
  )
  noun.addCommand(
    acting<DeleteFlags>(
      destroyingVerb('delete', 'one permission of a user, or all')
        .argument('<user>')
        .argument('[resource]', 'as it is listed')
        .addOption(policyOption()),
      remove,
    ),
  )
  return noun
}
