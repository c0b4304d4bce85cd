// What the guard adds to a request on its way through the whole middleware, in this process, in paired rounds:
// `node bench/dist/guard-request.js`. `guard-cost.ts` measures the guard alone.
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { parseArgs } from 'node:util'
import { createHandler } from '@canary-release/core/node'

const REQUESTS = 50_000

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '40' } } })
const rounds = Number(values.rounds)
if (!(Number.isInteger(rounds) && rounds >= 1 && rounds <= 1000)) throw new Error('--rounds must be from 1 to 1000')

const consumers = Array.from({ length: 256 }, (_, i) => `7b1d9c52-2a4e-4f0e-9c61-${String(i).padStart(12, '0')}`)
let at = 0
/** As it is once all was sent: no socket takes it here, and an aborted request is not counted. */
class SentResponse extends ServerResponse {}
Object.defineProperties(SentResponse.prototype, {
  headersSent: { get: () => true },
  writableFinished: { get: () => true },
})

const socket = new Socket()
const create = (guard: boolean) =>
  createHandler({
    name: 'bench',
    mode: 'rewrite',
    upstreams: { A: 'http://a:1', B: 'http://b:1' },
    percentage: 10,
    consumer: () => consumers[(at += 1) % consumers.length],
    guard,
  })
const handlers = { off: create(false), on: create(true) }

/** Microseconds of CPU for each request, from its parts made anew to the end of its response. */
function measure(handler: ReturnType<typeof create>): number {
  const before = process.cpuUsage()
  for (let i = 0; i < REQUESTS; i += 1) {
    const request = new IncomingMessage(socket)
    request.method = 'GET'
    request.url = '/orders/1'
    const response = new SentResponse(request)
    handler(request, response, () => response.emit('close'))
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / REQUESTS
}

measure(handlers.off)
measure(handlers.on)
const added: number[] = []
for (let round = 0; round < rounds; round += 1) {
  added.push(measure(handlers.on) - measure(handlers.off))
  // The guard judges on a timer.
  await new Promise((resolve) => setTimeout(resolve, 1))
}
const middle = added.toSorted((a, b) => a - b)[rounds >> 1] ?? Number.NaN
process.stdout.write(`the guard adds ${middle.toFixed(2)} µs of CPU a request (median of ${rounds} paired rounds)\n`)
await Promise.all([handlers.off.close(), handlers.on.close()])
