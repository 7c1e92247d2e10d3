/** The other members of the group: connections to them and from them, who they say they are, and frames in and out. */
import assert from 'node:assert/strict'
import { messageOf } from '../common/errors.ts'
import type { Logger } from '../common/log.ts'
import type { Listener, Runtime, Socket, SocketHandler } from '../common/ports.ts'
import {
  PEER_FORMAT,
  encodeHello,
  parseHello,
  parseInstall,
  parseInstalled,
  parseJoin,
} from './control-frames.ts'
import type { Hello, Install } from './control-frames.ts'
import { FrameReader } from './frame-reader.ts'
import { newestMembers } from './joining.ts'
import {
  ControlType,
  decodeControl,
  decodeMessage,
  encodeControl,
  encodeMessageHeader,
} from './message-codec.ts'
import type { AppendRequest, Member, MemberId, RaftMessage } from './messages.ts'
import { PeerLink } from './peer-link.ts'
import type { Raft } from './raft.ts'

/** A member as it is configured. */
export interface PeerAddress {
  readonly id: MemberId
  readonly host: string
  readonly port: number
}

export interface PeersOptions {
  readonly runtime: Runtime
  readonly logger: Logger
  readonly group: string
  readonly id: MemberId
  readonly incarnation: number
  readonly peers: readonly PeerAddress[]
  readonly listenHost: string
  readonly clientPort: number
  readonly raft: () => Raft<Buffer> | null
  readonly term: () => number
  readonly onMessage: (from: MemberId, message: RaftMessage<Buffer>) => void
  readonly onLost: (id: MemberId) => void
  /** Records of the own log cannot be read. */
  readonly onUnreadable: (error: unknown) => void
  readonly onJoin: (member: Member) => void
  readonly onInstall: (from: MemberId, install: Install) => void
  readonly onInstalled: (from: MemberId, startOffset: number) => void
}

interface Peer {
  readonly link: PeerLink
  /** What it said on the connection that stands; null while there is none. */
  hello: Hello | null
  /** Records that are being read off the disk leave before what comes later. */
  queue: Promise<void> | null
}

export class Peers {
  readonly #options: PeersOptions
  readonly #peers = new Map<MemberId, Peer>()
  readonly #incoming = new Set<Socket>()
  readonly #life: number
  #listener: Listener | null = null
  #isClosed = false

  constructor(options: PeersOptions) {
    this.#options = options
    this.#life = options.runtime.random.integer(2 ** 47)
  }

  /** Opens the own port, through which new members come too, and connects to all that are configured. */
  async start(): Promise<void> {
    const { peers, id, listenHost, runtime } = this.#options
    const own = peers.find((peer) => peer.id === id)
    assert(own !== undefined, 'the member is among its peers')
    this.#listener = await runtime.network.listen(listenHost, own.port, (socket) =>
      this.#accept(socket),
    )
    for (const peer of peers) this.#connect(peer)
  }

  addressOf(id: MemberId): string {
    const peer = this.#options.peers.find((candidate) => candidate.id === id)
    return peer === undefined ? '' : `${peer.host}:${peer.port}`
  }

  /** Where a member serves clients; null while it is not connected. */
  clientAddressOf(id: MemberId): string | null {
    const hello = this.#peers.get(id)?.hello
    const member = this.#options.raft()?.configuration.members.find((other) => other.id === id)
    if (hello === null || hello === undefined || member === undefined) return null
    return `${member.address.slice(0, member.address.lastIndexOf(':'))}:${hello.clientPort}`
  }

  /** What the configured others have said; null for those that have not. */
  get hellos(): readonly (Hello | null)[] {
    const { peers, id } = this.#options
    return peers
      .filter((peer) => peer.id !== id)
      .map((peer) => this.#peers.get(peer.id)?.hello ?? null)
  }

  /** Connects to members that are not configured here, and forgets those that are gone. */
  follow(members: readonly Member[]): void {
    this.#connectTo(members)
    for (const [id, { link }] of this.#peers) {
      const isKnown = members.some((member) => member.id === id)
      if (isKnown || this.#options.peers.some((peer) => peer.id === id)) continue
      link.close()
      this.#peers.delete(id)
    }
  }

  /** Asks to be taken in, whoever may lead: also those of whom the others have told since, which came to the group later. */
  sendJoin(member: Member): void {
    const told = [...this.#peers.values()].flatMap(({ hello }) => hello ?? [])
    this.#connectTo(newestMembers(told) ?? [])
    const frame = encodeControl(ControlType.join, { member })
    for (const { link } of this.#peers.values()) link.send([frame])
  }

  /** Messages to the member arrive, unless they are lost on the way. */
  isReachable(id: MemberId): boolean {
    return this.#reachable(id) !== null
  }

  send(to: MemberId, message: RaftMessage<Buffer>): void {
    // Leaders and candidates are answered whatever their disk: this member may lack the records which say that they have a new one. They
    // know whom they ask.
    const isAnswer = message.type === 'appendResponse' || message.type === 'voteResponse'
    const peer = isAnswer ? this.#connected(to) : this.#reachable(to)
    if (peer === null) return
    const frame = encodeMessageHeader(message, 0)
    if (peer.queue === null) peer.link.send([frame])
    else this.#enqueue(peer, () => peer.link.send([frame]))
  }

  /** Bytes that were to be sent have not left: for one member at least the kernel does not take more now. */
  get isBehind(): boolean {
    for (const { link, queue } of this.#peers.values()) {
      if (queue !== null || link.pendingBytes > 0) return true
    }
    return false
  }

  sendRecords(
    to: MemberId,
    message: AppendRequest<Buffer>,
    records: Buffer | Promise<Buffer>,
  ): void {
    const peer = this.#reachable(to)
    // Told at once, however late or never they are waited for.
    if (!Buffer.isBuffer(records)) {
      records.catch((error: unknown) => this.#noteUnreadable(message.term, error))
    }
    if (peer === null) return
    const told = peer.hello?.takesChecksums === true ? message : { ...message, checksum: null }
    if (Buffer.isBuffer(records) && peer.queue === null) {
      peer.link.send([encodeMessageHeader(told, records.length), records])
      return
    }
    this.#enqueue(peer, async () => {
      const bytes = await records
      if (!this.#leadsIn(message.term)) return
      peer.link.send([encodeMessageHeader(told, bytes.length), bytes])
    })
  }

  /** False when the member cannot be reached. */
  sendInstall(to: MemberId, install: Install): boolean {
    const peer = this.#reachable(to)
    return peer !== null && peer.link.send([encodeControl(ControlType.install, install)])
  }

  sendInstalled(to: MemberId, startOffset: number): void {
    this.#connected(to)?.link.send([encodeControl(ControlType.installed, { startOffset })])
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const { link } of this.#peers.values()) link.close()
    for (const socket of this.#incoming) socket.destroy()
    await this.#listener?.close()
  }

  #hello(): Hello {
    const { group, id, incarnation, term, raft, clientPort } = this.#options
    return {
      format: PEER_FORMAT,
      clientPort,
      address: this.addressOf(id),
      group,
      id,
      incarnation,
      life: this.#life,
      term: term(),
      takesChecksums: true,
      members: raft()?.configuration.members ?? null,
    }
  }

  #connectTo(members: readonly Pick<Member, 'id' | 'address'>[]): void {
    for (const { id, address } of members) {
      const at = address.lastIndexOf(':')
      this.#connect({ id, host: address.slice(0, at), port: Number(address.slice(at + 1)) })
    }
  }

  #connect({ id, host, port }: PeerAddress): void {
    if (id === this.#options.id || this.#peers.has(id) || this.#isClosed) return
    const { runtime, logger } = this.#options
    const peer: Peer = {
      hello: null,
      queue: null,
      link: new PeerLink({
        network: runtime.network,
        timers: runtime.timers,
        logger,
        address: { host, port },
        hello: () => encodeHello(this.#hello()),
        onFrame: (frame) => this.#onHelloAnswer(id, frame),
        onLost: () => {
          peer.hello = null
          this.#options.onLost(id)
        },
      }),
    }
    this.#peers.set(id, peer)
  }

  #onHelloAnswer(id: MemberId, frame: Buffer): void {
    const peer = this.#peers.get(id)
    const hello = this.#checkedHello(frame)
    if (peer === undefined || hello === null || hello.id !== id) return
    peer.hello = hello
  }

  /** The peer, when it is connected and the one that the configuration means. */
  #reachable(id: MemberId): Peer | null {
    const peer = this.#connected(id)
    const member = this.#options.raft()?.configuration.members.find((other) => other.id === id)
    return peer?.hello?.incarnation === member?.incarnation ? peer : null
  }

  #connected(id: MemberId): Peer | null {
    const peer = this.#peers.get(id)
    return peer === undefined || peer.hello === null ? null : peer
  }

  #enqueue(peer: Peer, task: () => unknown): void {
    const before = peer.queue ?? Promise.resolve()
    const queue = before.then(task).then(
      () => undefined,
      (error: unknown) => {
        this.#options.logger.debug({ err: error }, 'nothing is sent in the place of records')
      },
    )
    peer.queue = queue
    void queue.then(() => {
      if (peer.queue === queue) peer.queue = null
    })
  }

  /** What was read is of this term only while the leader still leads in it: later the log may have been cut under it. */
  #leadsIn(term: number): boolean {
    const raft = this.#options.raft()
    return raft?.role === 'leader' && raft.term === term
  }

  #noteUnreadable(term: number, error: unknown): void {
    if (!this.#isClosed && this.#leadsIn(term)) this.#options.onUnreadable(error)
  }

  #accept(socket: Socket): SocketHandler {
    const { logger, onLost } = this.#options
    this.#incoming.add(socket)
    let from: Hello | null = null
    const reader = new FrameReader((frame) => {
      if (from === null) {
        from = this.#checkedHello(frame)
        if (from === null) socket.destroy()
        else {
          socket.write(encodeHello(this.#hello()))
          this.#leaveFormerLife(from)
          this.#peers.get(from.id)?.link.wake()
        }
      } else {
        this.#onFrame(from, frame, socket)
      }
    })
    return {
      onData: (bytes) => {
        try {
          if (!reader.push(bytes)) socket.destroy()
        } catch (error) {
          logger.warn({ remoteHost: socket.remoteHost, err: error }, 'dropping a broken member')
          socket.destroy()
        }
      },
      get readTarget() {
        return reader.readTarget
      },
      onDrain: () => undefined,
      onClose: () => {
        this.#incoming.delete(socket)
        if (from !== null) onLost(from.id)
      },
    }
  }

  /**
   * A machine that lost its power said no goodbye: the connection to its former life would stay open for as long as nothing is written to
   * it, or, when the member has another address now, until the system gives up.
   */
  #leaveFormerLife({ id, life }: Hello): void {
    const peer = this.#peers.get(id)
    if (peer !== undefined && peer.hello !== null && peer.hello.life !== life) peer.link.reconnect()
  }

  /**
   * Who leads, or would, may have come to the group with records that this member lacks, and will lack until it answers. The question at
   * hand is not answered; it is asked again.
   */
  #connectBack({ id, address }: Hello): void {
    if (address !== null) this.#connectTo([{ id, address }])
  }

  /** Null, with a warning, when the frame is no hello of this group. */
  #checkedHello(frame: Buffer): Hello | null {
    const { group, logger } = this.#options
    try {
      const control = decodeControl(frame)
      if (control?.type !== ControlType.hello) return null
      const hello = parseHello(control.content)
      if (hello.group === group && hello.format === PEER_FORMAT) return hello
      logger.warn({ hello, group }, 'a member of another group has connected')
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'a connection that is no member’s')
    }
    return null
  }

  #onFrame(from: Hello, frame: Buffer, socket: Socket): void {
    const control = decodeControl(frame)
    if (control !== null) {
      this.#onControl(from, control.type, control.content, socket)
      return
    }
    const message = decodeMessage(frame, 0, frame.length)
    const members = this.#options.raft()?.configuration.members ?? []
    const known = members.find(({ id }) => id === from.id)
    // Whoever lost its disk is somebody else: what it says now does not count for what it was. What it asks is weighed by its log (Raft
    // §5.4.1), since this member may not know yet that it was taken in.
    const isStranger = known !== undefined && known.incarnation !== from.incarnation
    const isQuestion = message.type === 'appendRequest' || message.type === 'voteRequest'
    if (isStranger && !isQuestion) return
    if (isQuestion && !this.#peers.has(from.id)) this.#connectBack(from)
    this.#options.onMessage(from.id, message)
  }

  #onControl(from: Hello, type: ControlType, content: unknown, socket: Socket): void {
    switch (type) {
      case ControlType.join:
        // It may not know who leads by now.
        socket.write(encodeHello(this.#hello()))
        this.#options.onJoin(parseJoin(content))
        break
      case ControlType.install:
        this.#options.onInstall(from.id, parseInstall(content))
        break
      case ControlType.installed:
        this.#options.onInstalled(from.id, parseInstalled(content))
        break
      case ControlType.hello:
        break
    }
  }
}
