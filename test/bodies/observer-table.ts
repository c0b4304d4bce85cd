import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Application, type Request, type Start, turns } from './applications.js'
import { OBSERVERS, type Observer, type Seen } from './observers.js'
import {
  type Answer,
  type Framing,
  type HashingUpstream,
  type Received,
  binary,
  hashingUpstream,
  multipart,
  sha1,
  text,
  type upload,
} from './uploads.js'

// Whoever reads a request's stream beside the canary: the body arrives byte for byte, or the answer says that it can't.

/** When the observer attaches, and when the canary is reached. */
const MOMENTS: Record<string, (request: Request, attach: () => void) => Promise<void> | void> = {
  'just before the canary': (_request, attach) => attach(),
  'just before the canary, when the body has begun to come': async (request, attach) => {
    await begun(request)
    attach()
  },
  'while a middleware still waits': async (request, attach) => {
    attach()
    await begun(request)
    await turns(2)
  },
}

/** Resolves once bytes of the body are here, read or not. HTTP/2 lets none come before somebody reads. */
async function begun(request: Request): Promise<void> {
  if (request.httpVersionMajor > 1) return turns(5)
  while (request.readableLength === 0 && !request.readableDidRead && !request.complete) await turns(1)
}

const SIZES = { small: 1000, '8 MB': 8 * 1_048_576 }
const FRAMINGS: readonly Framing[] = ['with its length', 'in chunks']

/** When, how large, and how sent. */
export interface Case {
  readonly moment: string
  readonly size: keyof typeof SIZES
  readonly framing: Framing
}

export const CASES: readonly Case[] = Object.keys(MOMENTS).flatMap((moment) =>
  (['small', '8 MB'] as const).flatMap((size) => FRAMINGS.map((framing) => ({ moment, size, framing }))),
)

const BODIES = new Map<string, Buffer>()

function bodyFor(name: string, { only }: Observer, size: keyof typeof SIZES): Buffer {
  const make = only === 'text' ? text : name === 'busboy' ? (length: number) => multipart(binary(length)) : binary
  const key = `${only ?? name === 'busboy'} ${size}`
  const body = BODIES.get(key) ?? make(SIZES[size])
  BODIES.set(key, body)
  return body
}

interface Stage {
  readonly app: Application
  readonly upstream: HashingUpstream
  /** What the observers of requests saw, by the request's path or header. */
  readonly seen: Map<string, Seen | void>
  /** Which requests had been read when the canary was reached. */
  readonly read: Set<string>
}

/** One application whose requests say who observes them, and when. */
async function createStage(start: Start, proxy: object): Promise<Stage> {
  const upstream = await hashingUpstream()
  const seen: Stage['seen'] = new Map()
  const read = new Set<string>()
  const options = {
    name: 'x',
    upstreams: { A: upstream.url, B: upstream.url },
    percentage: 50,
    proxy: { bodyTimeoutMs: 20_000, ...proxy },
  }
  const app = await start(options, (request) => {
    const id = String(request.headers['x-case'])
    const [observer = '', moment = ''] = id.split('|')
    const note = () => {
      if (request.readableDidRead) read.add(id)
    }
    const waiting = MOMENTS[moment]?.(request, () => void seen.set(id, OBSERVERS[observer]?.attach(request)))
    if (waiting !== undefined) return waiting.then(note)
    return note()
  })
  return { app, upstream, seen, read }
}

function expectWhole({ status, text: answer }: Answer, body: Buffer): void {
  expect([status, answer.slice(0, 200)]).toEqual([200, expect.stringContaining('sha1')])
  const received: Received = JSON.parse(answer)
  expect([received.length, received.sha1]).toEqual([body.length, sha1(body)])
}

async function check(stage: Stage, name: string, observer: Observer, each: Case, send: typeof upload): Promise<void> {
  const body = bodyFor(name, observer, each.size)
  const id = `${name}|${each.moment}|${each.size}|${each.framing}`
  const before = stage.upstream.whole.length
  const answer = await send(stage.app.port, body, each.framing, { 'x-case': id })
  if (stage.read.has(id)) {
    const text = expect.stringMatching(/ERR_CANARY_BODY.*mount canary before/)
    expect([each, answer]).toEqual([each, { status: 500, text }])
    expect(stage.upstream.whole.length).toBe(before)
    return
  }
  expectWhole(answer, body)
  const seen = stage.seen.get(id)
  // Who is slow may be at it still.
  if (seen) await expect.poll(() => [each, seen.digest()]).toEqual([each, sha1(body)])
}

/** Checks every observer in every case on one application. */
export function observed(start: Start, proxy: object, send: typeof upload, cases: readonly Case[]): void {
  let stage: Stage
  beforeAll(async () => {
    stage = await createStage(start, proxy)
  })
  afterAll(async () => {
    await stage.app.close()
    await stage.upstream.close()
  })

  test.each(Object.entries(OBSERVERS))('%s takes nothing of the body', async (name, observer) => {
    for (const each of cases) await check(stage, name, observer, each, send)
  })
}
