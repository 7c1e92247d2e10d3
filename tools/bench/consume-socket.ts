/** The socket of a connection that consumes: answers are read where they lie, and what is asked meanwhile leaves in one write. */
import { messageOf } from '../../common/errors.ts'
import type { Socket, SocketHandler } from '../../common/ports.ts'
import { splitAddress } from '../../remoting/client.ts'
import { AnswerReader } from './answer-reader.ts'
import type { Answer } from './answer-reader.ts'
import type { ConsumingEvents } from './consume-load.ts'
import type { Connector } from './lean-network.ts'
import type { PullTotals } from './pull-totals.ts'

const CONNECT_TIMEOUT_MS = 5_000

export class ConsumeSocket {
  readonly answers: AnswerReader
  readonly #address: string
  readonly #totals: PullTotals
  #socket: Socket | null = null
  #outgoing: Buffer[] = []
  /** When the bytes under way came, or asking began, `performance.now()`. */
  now = 0
  /** False: nothing more is asked. */
  isAsking = false

  constructor(
    { address, totals }: { readonly address: string; readonly totals: PullTotals },
    onAnswer: (answer: Answer) => void,
  ) {
    this.#address = address
    this.#totals = totals
    this.answers = new AnswerReader(onAnswer)
  }

  async connect(network: Connector, { onClosed }: ConsumingEvents): Promise<void> {
    const { host, port } = splitAddress(this.#address)
    const onSocket = (): SocketHandler => ({
      onData: (bytes) => this.#onData(bytes),
      onDrain: () => undefined,
      onClose: (error) => {
        this.isAsking = false
        this.#socket = null
        onClosed(error)
      },
    })
    this.#socket = await network.connect({ host, port, timeoutMs: CONNECT_TIMEOUT_MS, onSocket })
  }

  /** Runs what asks, outside an answer. */
  ask(asking: () => void): void {
    this.now = performance.now()
    asking()
    this.#flush()
  }

  /** A request that leaves with the others of this turn; its bytes are not copied. */
  push(request: Buffer): void {
    this.#outgoing.push(request)
  }

  close(): void {
    this.isAsking = false
    this.#socket?.destroy()
  }

  #flush(): void {
    const [first] = this.#outgoing
    if (first === undefined || this.#socket === null) return
    this.#socket.write(this.#outgoing.length === 1 ? first : Buffer.concat(this.#outgoing))
    this.#outgoing.length = 0
  }

  #onData(bytes: Buffer): void {
    this.now = performance.now()
    try {
      this.answers.feed(bytes)
    } catch (error) {
      this.#totals.fail(messageOf(error))
      this.#socket?.destroy()
      return
    }
    this.#flush()
  }
}
