import type { Attempt, AttemptResult, Forwarder } from '@canary-release/core'
import { CanaryError } from '@canary-release/core'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { ask } from '../conformance/client.js'
import { FRAMEWORKS } from '../conformance/frameworks.js'
import { createStage } from '../conformance/stage.js'
import { FAILING, NEVER, NONSENSE, REJECTING, strayErrors, toss } from './callback-ways.js'

type Forward = (attempt: Attempt, head: (status: number) => void, done: (result: AttemptResult) => void) => unknown

/** Answers itself, as a forwarder that works. */
function answer({ response }: Attempt, head: (status: number) => void, done: (result: AttemptResult) => void): void {
  if (!('writeHead' in response) || !('chunkedEncoding' in response)) return
  head(200)
  response.on('finish', () => done({ phase: 'done', status: 200, error: null, aborted: false }))
  response.writeHead(200).end('forwarded')
}

const begin = ({ response }: Attempt): void => {
  if ('chunkedEncoding' in response) response.writeHead(200, { 'content-length': 10 }).write('half')
}

const result = (changes: object): AttemptResult =>
  ({ phase: 'done', status: 200, error: null, aborted: false, ...changes }) as AttemptResult
const broken = new CanaryError('ERR_CANARY_UPSTREAM_RESPONSE', 'upstream B broke off in its response')

const hook = (says: string) => `500 ERR_CANARY_HOOK: the forwarder ${says}`
const NO_RESULT = hook('ended the request with no valid result')
const NO_ANSWER = hook('ended the request without an answer')
const NO_LIFE = hook('gave no sign of life in 600 ms')

const WAYS: readonly (readonly [string, Forward, string])[] = [
  ...FAILING.map(([name, fail]) => [name, fail, hook('threw')] as const),
  ...REJECTING.map(([name, fail]) => [name, fail, hook('rejected')] as const),
  [NEVER[0], NEVER[1], NO_LIFE],
  ...NONSENSE.map(([name, returns]) => [`${name} and does nothing`, returns, NO_LIFE] as const),
  ['works', answer, '200 forwarded'],
  ['works and returns a promise', async (...given) => answer(...given), '200 forwarded'],
  ...NONSENSE.map(([name, returns]): (typeof WAYS)[number] => [
    `is done with what ${name}`,
    (_attempt, _head, done) => done(returns() as never),
    NO_RESULT,
  ]),
  ['is done with a phase that is none', (_a, _h, done) => done(result({ phase: 'over' })), NO_RESULT],
  ['is done without an answer', (_a, _h, done) => done(result({})), NO_ANSWER],
  ['is done before it began', (_a, _h, done) => done(result({ phase: 'connect', status: null })), NO_ANSWER],
  ['is done with an error of another kind', (_a, _h, done) => done(result({ error: new Error('x') })), hook('failed')],
  [
    'fails too late to be answered, as it says, but did not begin',
    (_a, _h, done) => done(result({ phase: 'body', error: broken })),
    `502 ERR_CANARY_UPSTREAM_RESPONSE: ${broken.message}`,
  ],
  [
    'is done three times',
    (attempt, head, done) => {
      answer(attempt, head, done)
      done(result({}))
      done(result({ phase: 'connect', error: broken }))
    },
    '200 forwarded',
  ],
  [
    'is done, and then has a head, and then throws',
    (_attempt, head, done) => {
      done(result({ phase: 'connect', error: broken }))
      head(200)
      toss(new Error('late'))
    },
    `502 ERR_CANARY_UPSTREAM_RESPONSE: ${broken.message}`,
  ],
  [
    'has heads of all kinds, and answers',
    (attempt, head, done) => {
      for (const status of [7, null, Symbol('x'), {}, 200]) head(status as number)
      answer(attempt, head, done)
    },
    '200 forwarded',
  ],
  [
    'answers, and then rejects',
    async (...given) => {
      answer(...given)
      toss(new Error('late'))
    },
    '200 forwarded',
  ],
  ['answers, but is never done', (attempt, head) => answer(attempt, head, () => {}), '200 forwarded'],
  [
    'throws in the middle of its answer',
    (attempt) => {
      begin(attempt)
      toss(new Error('half'))
    },
    'cut',
  ],
  [
    'fails in the middle of its answer, but says that it did not begin',
    (attempt, _head, done) => {
      begin(attempt)
      done(result({ phase: 'connect', error: broken }))
    },
    'cut',
  ],
]

for (const [framework, harness] of Object.entries(FRAMEWORKS)) {
  describe(`a forwarder of the application's, in ${framework}`, async () => {
    const { stage, end } = await createStage(harness)
    afterAll(end)
    afterEach(async () => expect(await strayErrors()).toEqual([]))
    const close = async (): Promise<void> => {}
    const start = (forwarder: Forwarder, more: object = {}) =>
      stage.app({
        percentage: 100,
        onError: () => {},
        ...more,
        proxy: { forwarder, connectTimeoutMs: 100, headersTimeoutMs: 400 },
      })

    test.each(WAYS)('that %s', async (_name, forward, expected) => {
      const { url } = await start({ forward: forward as Forwarder['forward'], close })
      const said = await ask(url).then(
        ({ status, text, whole }) => (whole ? `${status} ${text}` : 'cut'),
        (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? 'cut' : String(error)),
      )
      expect(said).toBe(expected)
    })

    test('that said what it did is not heard again when A serves in its place', async () => {
      let dones: ((result: AttemptResult) => void)[] = []
      const forward: Forwarder['forward'] = (attempt, head, done) => {
        dones.push(done)
        if (attempt.decision.upstream === 'A') answer(attempt, head, done)
        for (const each of dones) each(result({ phase: 'connect', error: broken }))
      }
      const { url } = await start({ forward, close }, { upstreamFallback: true })
      expect((await ask(url)).text).toBe('forwarded')
      dones = []
    })
  })
}
