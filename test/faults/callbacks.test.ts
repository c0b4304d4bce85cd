import { createRelease } from '@canary-release/core'
import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { ask, echoOf } from '../conformance/client.js'
import { FRAMEWORKS } from '../conformance/frameworks.js'
import { always, createStage } from '../conformance/stage.js'
import { FAILING, NEVER, NONSENSE, REJECTING, strayErrors } from './callback-ways.js'

type Headers = Record<string, unknown>
type Hook = (headers: Headers) => unknown

const THREW = '500 ERR_CANARY_HOOK: onRequestHeaders threw'
const REJECTED = '500 ERR_CANARY_HOOK: onRequestHeaders rejected'
const LATE = '500 ERR_CANARY_HOOK: onRequestHeaders did not settle in 300 ms'
const UNSENDABLE = (hook: string) => `500 ERR_CANARY_HOOK: ${hook} set a header that cannot be sent`
const THREW_AFTER = '500 ERR_CANARY_HOOK: onResponseHeaders threw'
const ASYNC = '500 ERR_CANARY_HOOK: onResponseHeaders returned a promise: it must not be async'

const set =
  (name: string, value: unknown): Hook =>
  (headers) =>
    void (headers[name] = value)
const later =
  (hook: Hook): Hook =>
  async (headers) => {
    await new Promise((resolve) => setImmediate(resolve))
    hook(headers)
  }

/** Values that are none for a header, in either direction. */
const BAD: readonly (readonly [string, Hook])[] = [
  ['sets two lines', set('x-set', 'a\r\nX-Evil: 1')],
  ['sets two lines in a list', set('x-set', ['a', 'b\r\nX-Evil: 1'])],
  ['sets a symbol', set('x-set', Symbol('x'))],
  ['sets null', set('x-set', null)],
  ['sets an object', set('x-set', { a: 1 })],
  ['sets a function', set('x-set', () => {})],
  ['sets a list of nulls', set('x-set', [null])],
  ['sets what has no text', set('x-set', Object.create(null))],
  ['sets a name that is none', set('x set', 'a')],
  ['sets an empty name', set('', 'a')],
  ['sets a length', set('content-length', '3')],
  ['sets a coding', set('Transfer-Encoding', 'gzip')],
  ['promises trailers', set('trailer', 'x-sum')],
]

const GOOD: readonly (readonly [string, Hook])[] = [
  ['sets a number', set('x-set', 7)],
  ['sets a text', set('X-Set', '7')],
  ['sets it later', later(set('x-set', '7'))],
]

for (const [framework, harness] of Object.entries(FRAMEWORKS)) {
  describe(`callbacks of ${framework}`, async () => {
    const { stage, end } = await createStage(harness)
    afterAll(end)
    afterEach(async () => expect(await strayErrors()).toEqual([]))
    const sent = () => stage.upstreams().flatMap(({ seen }) => seen)
    const reports: unknown[] = []
    const onError = (error: unknown) => void reports.push(error)
    afterEach(() => void reports.splice(0))

    for (const [forwarder, made] of [
      ['undici', () => null],
      ['http-proxy', () => httpProxyForwarder()],
    ] as const) {
      const answerWith = async (proxy: object, path = '/cookies') => {
        const source = { percentage: 100, proxy: { headersTimeoutMs: 300, forwarder: made() ?? undefined, ...proxy } }
        const { url } = await stage.app(source)
        const { status, text, headers } = await ask(url + path)
        return { said: status === 200 ? '200' : `${status} ${text}`, text, headers }
      }

      test.each<[string, Hook, string]>([
        ...FAILING.map(([name, hook]): [string, Hook, string] => [name, hook, THREW]),
        ...REJECTING.map(([name, hook]): [string, Hook, string] => [name, hook, REJECTED]),
        [...NEVER, LATE],
        ...NONSENSE.map(([name, hook]): [string, Hook, string] => [name, hook, '200']),
        ...BAD.map(([name, hook]): [string, Hook, string] => [name, hook, UNSENDABLE('onRequestHeaders')]),
        ...BAD.map(([name, hook]): [string, Hook, string] => [
          `${name} later`,
          later(hook),
          UNSENDABLE('onRequestHeaders'),
        ]),
        ...GOOD.map(([name, hook]): [string, Hook, string] => [name, hook, '200']),
      ])(`onRequestHeaders that %s, through ${forwarder}`, async (_name, onRequestHeaders, expected) => {
        expect((await answerWith({ onRequestHeaders })).said).toBe(expected)
        expect(sent()).toHaveLength(expected === '200' ? 1 : 0)
      })

      test.each<[string, Hook, string]>([
        ...FAILING.map(([name, hook]): [string, Hook, string] => [name, hook, THREW_AFTER]),
        ...REJECTING.map(([name, hook]): [string, Hook, string] => [name, hook, ASYNC]),
        [...NEVER, ASYNC],
        ...NONSENSE.map(([name, hook]): [string, Hook, string] => [name, hook, '200']),
        ...BAD.map(([name, hook]): [string, Hook, string] => [name, hook, UNSENDABLE('onResponseHeaders')]),
        ...GOOD.slice(0, 2).map(([name, hook]): [string, Hook, string] => [name, hook, '200']),
      ])(`onResponseHeaders that %s, through ${forwarder}`, async (_name, onResponseHeaders, expected) => {
        const { said, text, headers } = await answerWith({ onResponseHeaders })
        expect(said).toBe(expected)
        expect(headers).not.toHaveProperty('x-evil')
        // Nothing of an answer that is not given is left on the one that is.
        if (expected !== '200') expect([text.includes('cookies'), headers['x-both']]).toEqual([false, undefined])
      })

      test(`sends what an async onRequestHeaders set, with a body that came meanwhile, through ${forwarder}`, async () => {
        const { url } = await stage.app({
          percentage: 100,
          proxy: { forwarder: made() ?? undefined, onRequestHeaders: later(set('x-token', 'fetched')) },
        })
        const body = 'x'.repeat(700_000)
        const { headers, length, name } = await echoOf(url, { method: 'POST', body })
        expect([headers['x-token'], length, name]).toEqual(['fetched', body.length, 'B'])
      })
    }

    test.each([...FAILING, ...REJECTING, NEVER, ...NONSENSE.filter(([name]) => !/number|lines|null/.test(name))])(
      'a consumer function that %s counts as nobody, and is reported once',
      async (_name, consumer) => {
        const { url } = await stage.app({ consumer, onError, hash: 'consumer' })
        for (let i = 0; i < 3; i += 1) expect((await ask(`${url}/status/200`)).status).toBe(200)
        expect(reports).toHaveLength(1)
      },
    )

    test.each([...FAILING, ...REJECTING, NEVER, ...NONSENSE.filter(([name]) => !/null/.test(name))])(
      'a groups function that %s counts as no group, and is reported once',
      async (_name, groups) => {
        const { url } = await stage.app({ groups, onError, percentage: 50, hash: { allow: ['beta'] } })
        for (let i = 0; i < 3; i += 1) expect(await echoOf(url)).toMatchObject({ name: 'A' })
        expect(reports).toHaveLength(1)
      },
    )

    test.each([...FAILING, ...REJECTING, NEVER, ...NONSENSE])(
      'a logger and an onError that %s change nothing',
      async (_name, log) => {
        const consumer = () => {
          throw new Error('a bug')
        }
        const told = [
          { onError: log },
          { logger: { info: log, warn: log, error: log } },
          { onError: log, logger: { info: log, warn: log, error: log } },
        ]
        for (const more of told) {
          const { url } = await stage.app({ consumer, hash: 'consumer', ...more })
          // An untrusted forwarding header is warned of, the consumer reported.
          expect((await ask(`${url}/status/200`, { headers: { 'x-forwarded-for': '1.2.3.4' } })).status).toBe(200)
        }
      },
    )

    test.each([...FAILING, ...REJECTING])(
      'listeners of a release that %s are reported, and the others hear it',
      async (_name, listener) => {
        const options = stage.options({ onError, logger: { info() {}, warn() {}, error() {} } })
        const release = createRelease(options as Parameters<typeof createRelease>[0])
        const heard: string[] = []
        for (const name of ['change', 'decision', 'outcome'] as const) {
          release.on(name, listener)
          release.on(name, () => void heard.push(name))
        }
        const { url } = await stage.app(release)
        expect((await ask(`${url}/status/200`, { headers: always })).status).toBe(200)
        release.pause()
        await expect.poll(() => heard).toEqual(['decision', 'outcome', 'change'])
        expect(reports.length).toBe(1)
        release.close()
      },
    )

    const numbers = [
      ...FAILING,
      ...REJECTING,
      NEVER,
      ...NONSENSE.filter(([name]) => name !== 'returns a number'),
      ['returns no number', () => Number.NaN],
    ] as const
    test.each(numbers)('a clock that %s is reported, and time goes on', async (_name, clock) => {
      const { url } = await stage.app({ clock, onError, percentage: undefined, start: 1000, duration: 60, guard: true })
      for (let i = 0; i < 2; i += 1) expect(await echoOf(url)).toMatchObject({ name: 'B' })
      expect(reports).toMatchObject([{ code: 'ERR_CANARY_HOOK' }])
    })

    test.each(numbers)('a random that %s is reported, and chance takes its place', async (_name, random) => {
      const { url } = await stage.app({ random, onError, hash: 'none', percentage: 100 })
      expect(await echoOf(url)).toMatchObject({ name: 'B' })
      expect(reports).toMatchObject([{ code: 'ERR_CANARY_HOOK' }])
    })
  })
}
