import { beforeEach, expect, test } from 'vitest'
import { LanguageCode } from '../remoting/command.ts'
import { RequestCode } from '../remoting/request-code.ts'
import { ResponseCode } from '../remoting/response-code.ts'
import { SimulatedTime } from '../simulation/time.ts'
import { RequestGate } from './request-gate.ts'
import { FakeRequest } from './testing.ts'
import type { RemotingCommand, RequestContent } from '../remoting/command.ts'

let time: SimulatedTime
let isOpen: boolean
let isClosing: boolean
let isLeaving: boolean
let leaderAddress: string | null
let asked: { readonly address: string; readonly request: RequestContent }[]
let handled: number
let gate: RequestGate

beforeEach(() => {
  time = new SimulatedTime()
  isOpen = false
  isClosing = false
  isLeaving = false
  leaderAddress = null
  asked = []
  handled = 0
  gate = new RequestGate({
    client: {
      invoke: (address, request) => {
        asked.push({ address, request })
        const answer: RemotingCommand = { ...new FakeRequest({ code: 0 }).command, remark: 'led' }
        return Promise.resolve(answer)
      },
      invokeOneway: (address, request) => {
        asked.push({ address, request })
        return Promise.resolve(true)
      },
    },
    timers: time,
    isClosing: () => isClosing,
    isOpen: () => isOpen,
    isLeaving: () => isLeaving,
    leaderAddress: () => leaderAddress,
    heldCodes: [RequestCode.PULL_MESSAGE],
    seal: () => undefined,
  })
})

async function call(request: FakeRequest): Promise<FakeRequest> {
  const guarded = gate.guarded((held) => {
    handled++
    held.respond({ code: ResponseCode.SUCCESS })
  })
  const running = guarded(request)
  await time.settle()
  await time.advance(1000)
  await running
  return request
}

function send(extFields: Readonly<Record<string, string>> = {}): FakeRequest {
  return new FakeRequest({ code: RequestCode.SEND_MESSAGE, extFields, body: Buffer.from('x') })
}

test('a leader answers by itself', async () => {
  isOpen = true

  const request = await call(send())

  expect(request.response?.code).toBe(ResponseCode.SUCCESS)
  expect([handled, asked.length]).toEqual([1, 0])
})

test('another member asks the leader, and gives its answer back', async () => {
  leaderAddress = '10.0.0.2:10911'

  const request = await call(send({ topic: 'T' }))

  expect(request.response).toMatchObject({ code: 0, remark: 'led' })
  expect(asked[0]?.address).toBe('10.0.0.2:10911')
  expect(new Map(Object.entries({ topic: 'T', gantryForwarded: 'true' }))).toEqual(
    asked[0]?.request.extFields,
  )
})

test('what was passed on once is not passed on again', async () => {
  leaderAddress = '10.0.0.2:10911'

  const request = await call(send({ gantryForwarded: 'true' }))

  expect(request.response?.code).toBe(ResponseCode.SYSTEM_BUSY)
  expect(asked).toEqual([])
})

test('a request waits for an election, and is answered here when this member wins', async () => {
  const calling = call(send())
  await time.advance(300)
  isOpen = true

  const request = await calling

  expect(request.response?.code).toBe(ResponseCode.SUCCESS)
  expect(handled).toBe(1)
})

test('without a leader clients are told to try again', async () => {
  const request = await call(send())

  expect(request.response).toMatchObject({
    code: ResponseCode.SYSTEM_BUSY,
    remark: 'no member of the group leads',
  })
})

test('the own configuration is answered by every member', async () => {
  const request = await call(new FakeRequest({ code: RequestCode.GET_BROKER_CONFIG }))

  expect(request.response?.code).toBe(ResponseCode.SUCCESS)
  expect(handled).toBe(1)
})

test('a member that stops sends clients away that understand it', async () => {
  isOpen = true
  isClosing = true

  const request = await call(send())

  expect(request.response?.code).toBe(ResponseCode.GO_AWAY)
})

test('a pull that comes while a leader leaves is answered, and not passed on: its connection is about to end', async () => {
  isLeaving = true
  leaderAddress = '10.0.0.2:10911'

  const [pull, other] = [RequestCode.PULL_MESSAGE, RequestCode.SEND_MESSAGE].map(
    (code) => new FakeRequest({ code }),
  )
  for (const request of [pull, other]) if (request !== undefined) await call(request)

  expect(pull?.response?.code).toBe(ResponseCode.SYSTEM_BUSY)
  expect(asked.map(({ request }) => request.code)).toEqual([RequestCode.SEND_MESSAGE])
})

// Goal: the Go client forgets a message that it gives back upon any answer, so none but a success may come while it waits.
test.each([
  { language: 'GO', within: null },
  { language: 'JAVA', within: ResponseCode.SYSTEM_BUSY },
] as const)(
  'a message given back that is refused: what a client of $language hears in three seconds is $within',
  async ({ language, within }) => {
    isOpen = true
    const request = new FakeRequest({
      code: RequestCode.CONSUMER_SEND_MSG_BACK,
      language: LanguageCode[language],
    })
    const guarded = gate.guarded((held) => held.respond({ code: ResponseCode.SYSTEM_BUSY }))

    await guarded(request)
    await time.advance(3000)
    const heard = request.response?.code ?? null
    await time.advance(1000)

    expect(heard).toBe(within)
    expect(request.response?.code).toBe(ResponseCode.SYSTEM_BUSY)
  },
)

test('a message given back by a Go client is passed on, and only its success is answered at once', async () => {
  leaderAddress = '10.0.0.2:10911'
  const code = RequestCode.CONSUMER_SEND_MSG_BACK
  const request = await call(new FakeRequest({ code, language: LanguageCode.GO }))

  expect(asked.map(({ address }) => address)).toEqual([leaderAddress])
  expect(request.response?.code).toBe(ResponseCode.SUCCESS)
})
