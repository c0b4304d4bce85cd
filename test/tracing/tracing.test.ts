import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { type IncomingMessage, type OutgoingHttpHeaders, createServer, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Begun } from './gateway.js'

// Under OpenTelemetry's own SDK and instrumentations, which patch modules: each gateway is a process of its own.

const PROGRAM = fileURLToPath(new URL('../dist/test/tracing/gateway.js', import.meta.url))
const CLIENT = 2
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const FROM_CLIENT = {
  traceparent: `00-${TRACE}-b7ad6b7169203331-01`,
  tracestate: 'vendor=1',
  baggage: 'tenant=alice',
}

const seen: IncomingMessage[] = []
const upstream = createServer((incoming, response) => {
  seen.push(incoming)
  response.end('answered')
})
upstream.on('upgrade', (incoming, socket) => {
  seen.push(incoming)
  socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
})
beforeAll(async () => once(upstream.listen(0, '127.0.0.1'), 'listening'))
afterAll(() => {
  upstream.closeAllConnections()
  upstream.close()
})

class Gateway {
  readonly spans: Begun[] = []
  readonly #child: ChildProcess
  readonly #port: Promise<number>

  constructor(framework: string, mode: string) {
    const { port } = upstream.address() as AddressInfo
    this.#child = fork(PROGRAM, [framework, mode, `http://127.0.0.1:${port}`], { stdio: 'inherit', execArgv: [] })
    this.#port = new Promise((resolve, reject) => {
      this.#child.on('message', (message: { port: number } | { span: Begun }) => {
        if ('port' in message) resolve(message.port)
        else this.spans.push(message.span)
      })
      this.#child.on('exit', (code) => reject(new Error(`the gateway ended with ${code}`)))
    })
  }

  async statusOf(headers: OutgoingHttpHeaders): Promise<number | undefined> {
    const asked = send({ host: '127.0.0.1', port: await this.#port, path: '/x', headers, agent: false }).end()
    return new Promise((resolve, reject) => {
      asked.on('error', reject)
      asked.on('response', (response) => resolve(response.resume().statusCode))
      asked.on('upgrade', (response, socket) => {
        socket.destroy()
        resolve(response.statusCode)
      })
    })
  }

  end(): void {
    this.#child.removeAllListeners('exit').kill()
  }
}

function valuesOf({ rawHeaders }: IncomingMessage, name: string): string[] {
  return rawHeaders.filter((_value, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name)
}

describe.each(['express', 'koa', 'fastify'])('tracing with %s', (framework) => {
  describe.each(['forward', 'rewrite'])('in %s mode', (mode) => {
    let gateway: Gateway
    beforeAll(() => {
      gateway = new Gateway(framework, mode)
    })
    afterAll(() => gateway.end())

    const REQUESTS = [
      ['request', {}, 200],
      ...(mode === 'forward' ? [['upgrade', { connection: 'Upgrade', upgrade: 'echo' }, 101] as const] : []),
    ] as const
    for (const [kind, own, status] of REQUESTS) {
      test.each([
        ['with', FROM_CLIENT],
        ['without', {}],
      ])(`one traceparent goes on with a ${kind} %s the client’s: that of the innermost span`, async (_with, from) => {
        seen.length = 0
        expect(await gateway.statusOf({ ...own, ...from })).toBe(status)
        const [arrived] = seen
        if (arrived === undefined) throw new Error('nothing arrived')
        const parents = valuesOf(arrived, 'traceparent')
        expect(parents).toEqual([expect.stringMatching(/^00-[\da-f]{32}-[\da-f]{16}-0[01]$/)])
        const [, traceId = '', spanId = ''] = parents[0]?.split('-') ?? []
        await expect
          .poll(() => gateway.spans)
          .toContainEqual(expect.objectContaining({ kind: CLIENT, traceId, spanId }))
        // Of an upgrade no instrumentation reads where it comes from: its span begins a trace.
        if (from === FROM_CLIENT && kind === 'request') expect(traceId).toBe(TRACE)
        expect(valuesOf(arrived, 'tracestate')).toEqual(from === FROM_CLIENT ? ['vendor=1'] : [])
        expect(valuesOf(arrived, 'baggage')).toEqual(from === FROM_CLIENT ? ['tenant=alice'] : [])
      })
    }
  })
})
