// What rewrite mode adds to a request, in this process, in paired rounds: `node bench/dist/rewrite.js`.
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { createHandler } from '@canary-release/core/node'

const ROUNDS = 40
const REQUESTS = 50_000
const TARGET_US = 1.5

/** As it is once all was sent: no socket takes it here, and an aborted request is not counted. */
class SentResponse extends ServerResponse {}
Object.defineProperties(SentResponse.prototype, {
  headersSent: { get: () => true },
  writableFinished: { get: () => true },
})

const socket = new Socket()
const handler = createHandler({
  name: 'bench',
  mode: 'rewrite',
  upstreams: { A: 'http://a:1', B: 'http://b:1' },
  percentage: 50,
  consumer: () => 'c0ffee00-0000-4000-8000-000000000001',
})
type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => unknown
const nothing: Middleware = (_request, _response, next) => next()

/** Microseconds of CPU for each request through a middleware, from its parts made anew to the end of its response. */
function measure(middleware: Middleware): number {
  const before = process.cpuUsage()
  for (let i = 0; i < REQUESTS; i += 1) {
    const request = new IncomingMessage(socket)
    request.method = 'GET'
    request.url = '/orders/1'
    const response = new SentResponse(request)
    middleware(request, response, () => response.emit('close'))
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / REQUESTS
}

const rewrite: Middleware = (request, response, next) => handler(request, response, next)
measure(nothing)
measure(rewrite)
const added = Array.from({ length: ROUNDS }, () => measure(rewrite) - measure(nothing)).toSorted((a, b) => a - b)
const middle = added[ROUNDS >> 1] ?? Number.NaN
process.stdout.write(
  `rewrite mode adds ${middle.toFixed(2)} µs of CPU a request (median of ${ROUNDS} paired rounds of ${REQUESTS}; at most ${TARGET_US})\n`,
)
await handler.close()
