import { once } from 'node:events'
import http from 'node:http'
import net, { type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { httpProxyForwarder } from '../../src/proxy/http-proxy/forwarder.js'
import type { ProxyOptions } from '../../src/proxy/options.js'
import { ask, gateway, rawUpstream, testRelease, urlUpstream } from './harness.js'

// Responses before the final one: a 100 is taken, a 103 passed on, others dropped, wherever the network cuts them.

const uncaught: unknown[] = []
process.on('uncaughtException', (error) => uncaught.push(error))
afterEach(() => expect(uncaught).toEqual([]))

const FORWARDERS: [string, () => ProxyOptions][] = [
  ['undici', () => ({})],
  ['http-proxy', () => ({ forwarder: httpProxyForwarder() })],
]

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'
const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
const PROCESSING = 'HTTP/1.1 102 Processing\r\n\r\n'
// A body that reads like a response, at its beginning and behind an empty line.
const BODY = `${CONTINUE}${CONTINUE}HTTP/1.1 1`
const FINAL = `HTTP/1.1 200 OK\r\nContent-Length: ${BODY.length}\r\nX-Line: HTTP/1.1 100 Continue\r\n\r\n${BODY}`

/** What comes before the final answer, and how many of it are early hints. */
const BEFORE: [string, string, number][] = [
  ['nothing', '', 0],
  ['a 100', CONTINUE, 0],
  ['a 100 without a reason', 'HTTP/1.1 100\r\n\r\n', 0],
  ['a 100 with headers', 'HTTP/1.1 100 Go on\r\nX-Line: HTTP/1.1 100 Continue\r\nX-Two: 2\r\n\r\n', 0],
  ['a 103', HINTS, 1],
  ['a 102', PROCESSING, 0],
  ['two 100s', CONTINUE + CONTINUE, 0],
  ['a 100 and a 103', CONTINUE + HINTS, 1],
  ['a 103 and a 100', HINTS + CONTINUE, 1],
  ['a 102, a 100, two 103s and a 100', PROCESSING + CONTINUE + HINTS + HINTS + CONTINUE, 2],
]

/** An upstream that answers each request with the pieces that `pieces` gives for it, each in a packet of its own. */
const cutting = (pieces: () => readonly string[]) =>
  rawUpstream((socket) => {
    socket.setNoDelay(true)
    socket.on('data', () => void sendApart(socket, pieces()))
  })

async function sendApart(socket: Socket, pieces: readonly string[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed) return
    socket.write(piece)
    // Between two of them lies a whole poll, in which the gateway reads what there is.
    await setImmediate()
    await setImmediate()
  }
}

/** Status, body and number of early hints of a request's answer; or why there was none. */
async function heard(port: number, agent: http.Agent): Promise<string> {
  const request = http.request({ host: '127.0.0.1', port, agent })
  let hints = 0
  request.on('information', ({ statusCode }) => (hints += statusCode === 103 ? 1 : 100))
  request.end()
  try {
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    const body = (await response.setEncoding('latin1').toArray()).join('')
    return `${response.statusCode} ${body === BODY ? 'whole' : body} ${hints}`
  } catch (error) {
    return String(error)
  }
}

test.each([
  ['calls itself HTTP/1.0', 'HTTP/1.0 100 Continue\r\n\r\n'],
  ['says that the connection closes', 'HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n'],
])('undici takes a 100 that %s, cut anywhere', { timeout: 60_000 }, (_what, before) => takesEveryCut({}, before, 0))

/** Cuts an answer at each of its bytes in turn, and compares what a client hears. */
async function takesEveryCut(proxy: ProxyOptions, before: string, hints: number): Promise<void> {
  const text = before + FINAL
  let cut = 0
  await using upstream = await cutting(() => [text.slice(0, cut), text.slice(cut)])
  await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port), proxy }))
  const agent = new http.Agent({ keepAlive: true })
  const wrong: string[] = []
  for (cut = 1; cut < text.length; cut += 1) {
    const seen = await heard(front.port, agent)
    if (seen !== `200 whole ${hints}`) wrong.push(`${cut}: ${seen}`)
  }
  agent.destroy()
  expect(wrong).toEqual([])
}

describe.each(FORWARDERS)('an upstream of %s', (_name, forwarder) => {
  test.each(BEFORE)('may send %s before its answer, cut anywhere', { timeout: 60_000 }, (_what, before, hints) =>
    takesEveryCut(forwarder(), before, hints),
  )

  test('may send every byte by itself', async () => {
    const text = CONTINUE + HINTS + CONTINUE + PROCESSING + FINAL
    await using upstream = await cutting(() => [...text])
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port), proxy: forwarder() }))
    const agent = new http.Agent({ keepAlive: true })
    for (let i = 0; i < 3; i += 1) expect(await heard(front.port, agent)).toBe('200 whole 1')
    agent.destroy()
  })

  test.each([
    ['100s', CONTINUE],
    ['103s', HINTS],
    ['102s', PROCESSING],
  ])('that never stops sending %s is a timeout, and let go', async (_what, text) => {
    let sent = 0
    await using upstream = await rawUpstream((socket) => {
      const many = text.repeat(1000)
      const more = (): void => {
        while (!socket.destroyed && socket.write(many)) sent += many.length
      }
      socket.on('data', more).on('drain', more)
    })
    const proxy = { ...forwarder(), headersTimeoutMs: 300 }
    const release = testRelease({ B: urlUpstream('B', upstream.port), proxy })
    await using front = await gateway(release)
    const body = 'ERR_CANARY_UPSTREAM_TIMEOUT: upstream B did not answer in 300 ms'
    expect(await ask(front.port)).toMatchObject({ status: 504, body })
    expect(sent).toBeGreaterThan(0)
    expect(release.outcomes).toMatchObject([{ error: { code: 'ERR_CANARY_UPSTREAM_TIMEOUT' } }])
    await Promise.all([...upstream.sockets].map((socket) => socket.destroyed || once(socket, 'close')))
  })

  test('that never ends the head of a 100 has given no valid response', async () => {
    await using upstream = await rawUpstream((socket) => {
      const more = (): void => {
        while (!socket.destroyed && socket.write(`X-More: ${'x'.repeat(1000)}\r\n`));
      }
      socket.once('data', () => {
        socket.write('HTTP/1.1 100 Continue\r\n')
        more()
      })
      socket.on('drain', more)
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port), proxy: forwarder() }))
    const body = 'ERR_CANARY_UPSTREAM_RESPONSE: upstream B gave no valid response'
    expect(await ask(front.port)).toMatchObject({ status: 502, body })
  })

  test('has its early hints kept from a client of HTTP/1.0', async () => {
    await using upstream = await cutting(() => [HINTS + FINAL])
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port), proxy: forwarder() }))
    const text = async (version: string): Promise<string> => {
      const socket = net.connect(front.port, '127.0.0.1')
      socket.write(`GET / HTTP/${version}\r\nHost: x\r\nConnection: close\r\n\r\n`)
      return (await socket.setEncoding('latin1').toArray()).join('')
    }
    expect(await text('1.0')).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(await text('1.1')).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 /,
    )
  })
})
