import { listen } from '../demo/listen.js'
import { createServer } from 'node:http'

/** Two small servers where the environment's A and B say, for the programs of ecosystem.config.cjs. */
for (const [name, url = ''] of [
  ['version 1 (A)', process.env['A']],
  ['version 2 (B)', process.env['B']],
] as const) {
  const server = createServer((request, response) => {
    request.resume()
    response.end(`orders ${name}: ${request.method} ${request.url}\n`)
  })
  await listen(server, Number(new URL(url).port))
}
