import { createServer } from 'node:http'
import { listen } from '../demo/listen.js'

/**
 * Two small servers where the environment's A and B say, for the programs of ecosystem.config.cjs. BAD_RATE is the part of
 * B's requests that fail: 0 … 1.
 */
const { A = '', B = '', BAD_RATE = '0' } = process.env
for (const [name, url, badRate] of [
  ['version 1 (A)', A, 0],
  ['version 2 (B)', B, Number(BAD_RATE)],
] as const) {
  const server = createServer((request, response) => {
    request.resume()
    if (Math.random() < badRate) response.statusCode = 500
    response.end(`orders ${name}: ${request.method} ${request.url}\n`)
  })
  await listen(server, Number(new URL(url).port))
}
process.once('SIGINT', () => process.exit(0))
