/**
 * Readable scripts in `testdata/`: a command, `----`, and everything that it caused. `npx vitest run --project unit raft/scripts -u`
 * rewrites the outputs; read the difference then.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { SeededRandom } from '../simulation/random.ts'
import type { MemberId, RaftMessage } from './messages.ts'
import { TestGroup, voters } from './testing-group.ts'
import type { Envelope, TestMember, TestRecord } from './testing-group.ts'

const FOLDER = new URL('testdata/', import.meta.url).pathname
const scripts = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'))

test.each(scripts)('%s', async (name) => {
  const text = readFileSync(FOLDER + name, 'utf8')

  await expect(new Script().run(text)).toMatchFileSnapshot(FOLDER + name)
})

class Script {
  #group = new TestGroup({ members: voters(3), random: new SeededRandom(1) })
  #cut = new Set<string>()
  #nextId = 1
  #output: string[] = []

  /** The script with the outputs that its commands have now. */
  run(text: string): string {
    const blocks = text.split('\n\n').map((block) => block.trim())
    const parts = blocks.filter((block) => block !== '').map((block) => this.#block(block))
    return `${parts.join('\n\n')}\n`
  }

  #block(block: string): string {
    const [input = ''] = block.split('\n----')
    const commands = input.split('\n').filter((line) => !line.startsWith('#'))
    if (commands.length === 0) return input
    this.#output = []
    for (const command of commands) this.#command(command.split(' '))
    this.#drainTrace()
    return [input, '----', ...this.#output].join('\n')
  }

  #command([verb = '', ...words]: readonly string[]): void {
    const number = Number(words.at(-1))
    switch (verb) {
      case 'group':
        this.#start(number, words[0] === 'sync')
        break
      case 'campaign':
        this.#campaign(this.#member(words[0]))
        break
      case 'tick':
        for (let tick = 0; tick < number; tick++) this.#member(words[0]).tick()
        break
      case 'propose':
        this.#propose(this.#member(words[0]), number)
        break
      case 'deliver':
        this.#deliver(words[0] === undefined ? null : Number(words[0].slice(1)))
        break
      case 'sync':
        this.#member(words[0]).sync()
        break
      case 'cut':
        this.#cut.add(words[0] ?? '')
        break
      case 'heal':
        this.#cut.clear()
        break
      case 'lose':
        this.#group.network = []
        break
      case 'crash':
        this.#member(words[0]).crash(words[1] === 'unsynced')
        break
      case 'start':
        this.#member(words[0]).start()
        break
      case 'transfer':
        this.#transfer(this.#member(words[0]), Number(words[1]?.slice(1)))
        break
      case 'read':
        this.#member(words[0]).raft?.askRead()
        this.#member(words[0]).run()
        break
      case 'state':
        for (const member of this.#group.members.values()) this.#output.push(stateOf(member))
        break
      default:
        throw new Error(`no command ${verb}`)
    }
    this.#drainTrace()
  }

  #start(size: number, isSyncFlush: boolean): void {
    const random = new SeededRandom(1)
    this.#group = new TestGroup({ members: voters(size), random, isSyncFlush, maxBatchBytes: 5 })
    for (const member of this.#group.members.values()) member.start()
  }

  /** Ticks until it asks for votes. */
  #campaign(member: TestMember): void {
    for (let tick = 0; tick < 40 && member.raft?.role === 'follower'; tick++) member.tick()
  }

  #propose(member: TestMember, size: number): void {
    const isTaken = member.propose(this.#nextId, size)
    this.#output.push(isTaken ? `record ${this.#nextId}` : 'refused')
    if (isTaken) this.#nextId++
    member.run()
  }

  /** Delivers what is under way, and what that causes; to one member only when it is named. */
  #deliver(only: MemberId | null): void {
    for (let round = 0; round < 100; round++) {
      const { network } = this.#group
      const due = network.filter(({ to }) => only === null || to === only)
      if (due.length === 0) return
      this.#group.network = network.filter((envelope) => !due.includes(envelope))
      for (const envelope of due) this.#deliverOne(envelope)
      if (only !== null) return
    }
  }

  #deliverOne(envelope: Envelope): void {
    const { from, to, message } = envelope
    const isLost = this.#cut.has(`n${from}`) || this.#cut.has(`n${to}`)
    this.#output.push(`n${from}->n${to} ${textOf(message)}${isLost ? ' (lost)' : ''}`)
    if (!isLost) this.#group.member(to).receive(from, message)
    this.#drainTrace()
  }

  #transfer(member: TestMember, to: MemberId): void {
    const refusal = member.raft?.transferLeadership(to) ?? null
    if (refusal !== null) this.#output.push(refusal)
    member.run()
  }

  #drainTrace(): void {
    this.#output.push(...this.#group.trace.splice(0).map((line) => `  ${line}`))
  }

  #member(word: string | undefined): TestMember {
    return this.#group.member(Number(word?.slice(1)))
  }
}

function textOf(message: RaftMessage<readonly TestRecord[]>): string {
  switch (message.type) {
    case 'voteRequest': {
      const kind = message.isPreVote ? 'pre-vote?' : 'vote?'
      const transfer = message.isTransfer ? ' transfer' : ''
      return `${kind} term=${message.term} log=${message.lastTerm}:${message.endOffset}${transfer}`
    }
    case 'voteResponse': {
      const kind = message.isPreVote ? 'pre-vote' : 'vote'
      return `${kind} ${message.isGranted ? 'yes' : 'no'} term=${message.term}`
    }
    case 'appendRequest': {
      const { term, previousTerm, previousOffset, endOffset, commitOffset } = message
      const read = message.readContext === 0 ? '' : ` read=${message.readContext}`
      return `append term=${term} after=${previousTerm}:${previousOffset} to=${endOffset} commit=${commitOffset}${read}`
    }
    case 'appendResponse': {
      const outcome = message.isAccepted ? 'has' : 'refuses, try'
      const read = message.readContext === 0 ? '' : ` read=${message.readContext}`
      return `${outcome} ${message.offset} term=${message.term}${read}`
    }
    case 'timeoutNow':
      return `timeout-now term=${message.term}`
  }
}

function stateOf({ id, raft, records, commitOffset, endOffset, reads }: TestMember): string {
  if (raft === null) return `n${id} down`
  const log = records.map(({ term, id: record }) => `${term}${record === null ? '' : `.${record}`}`)
  const read = reads.length === 0 ? '' : ` reads=${reads.map(({ offset }) => offset).join(',')}`
  return `n${id} ${raft.role} term=${raft.term} commit=${commitOffset}/${endOffset} log=[${log.join(' ')}]${read}`
}
