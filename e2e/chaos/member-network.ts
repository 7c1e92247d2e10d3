/**
 * A network of one bridge with a namespace for each member of a group, so that the packets between any two can be dropped, in each direction for
 * itself, while clients and the name server, which live outside, go on reaching all of them. Needs root, `ip` and `nft`.
 */
import { run } from '../environment.ts'

/** The last byte of the address of whoever is outside the namespaces. */
const OUTSIDE = 254
const TABLE = 'gantry'

export class MemberNetwork {
  readonly #name: string
  readonly #prefix: string
  readonly #members: number

  /** `name`: a few letters; `prefix`: three bytes of a network that nobody uses, such as `10.97.1`. */
  constructor(name: string, prefix: string, members: number) {
    this.#name = name
    this.#prefix = prefix
    this.#members = members
  }

  /** The address of the bridge, for name server and clients. */
  get outside(): string {
    return `${this.#prefix}.${OUTSIDE}`
  }

  addressOf(member: number): string {
    return `${this.#prefix}.${member + 1}`
  }

  /** What a command is preceded by that runs as this member. */
  prefixOf(member: number): readonly string[] {
    return ['ip', 'netns', 'exec', this.#namespaceOf(member)]
  }

  async up(): Promise<void> {
    await this.down()
    const bridge = `${this.#name}-br`
    await ip('link', 'add', bridge, 'type', 'bridge')
    await ip('addr', 'add', `${this.outside}/24`, 'dev', bridge)
    await ip('link', 'set', bridge, 'up')
    for (let member = 0; member < this.#members; member++) {
      const namespace = this.#namespaceOf(member)
      const ours = this.#linkOf(member)
      const inside = ['netns', 'exec', namespace]
      await ip('netns', 'add', namespace)
      await ip('link', 'add', ours, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace)
      await ip('link', 'set', ours, 'master', bridge, 'up')
      await ip(...inside, 'ip', 'addr', 'add', `${this.addressOf(member)}/24`, 'dev', 'eth0')
      await ip(...inside, 'ip', 'link', 'set', 'eth0', 'up')
      await ip(...inside, 'ip', 'link', 'set', 'lo', 'up')
      await this.#nft(
        member,
        `add table ip ${TABLE}; add chain ip ${TABLE} in { type filter hook input priority 0; }`,
      )
    }
  }

  /** Drops what `from` sends to `to` from now on. */
  async cut(from: number, to: number): Promise<void> {
    await this.#nft(to, `add rule ip ${TABLE} in ip saddr ${this.addressOf(from)} drop`)
  }

  async heal(): Promise<void> {
    for (let member = 0; member < this.#members; member++) {
      await this.#nft(member, `flush chain ip ${TABLE} in`)
    }
  }

  /** Removes all of it; what is not there is fine. */
  async down(): Promise<void> {
    for (let member = 0; member < this.#members; member++) {
      // Before the namespace, which the kernel clears up in its own time, with the other end of this one.
      await ip('link', 'del', this.#linkOf(member)).catch(() => undefined)
      await ip('netns', 'del', this.#namespaceOf(member)).catch(() => undefined)
    }
    await ip('link', 'del', `${this.#name}-br`).catch(() => undefined)
  }

  #linkOf(member: number): string {
    return `${this.#name}-v${member}`
  }

  #namespaceOf(member: number): string {
    return `${this.#name}-${member}`
  }

  async #nft(member: number, commands: string): Promise<void> {
    await ip('netns', 'exec', this.#namespaceOf(member), 'nft', commands)
  }
}

async function ip(...args: readonly string[]): Promise<void> {
  await run('ip', args)
}
