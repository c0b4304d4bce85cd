import { type Server, createServer } from 'node:http'
import { listen } from './listen.js'

/** A small server that names its version. */
export interface DemoUpstream {
  readonly url: string
  /** From now on this part of its requests fails, 0 … 1. */
  fail(rate: number): void
  close(): void
}

export async function startUpstream(version: string, random: () => number): Promise<DemoUpstream> {
  let failing = 0
  const server: Server = createServer((request, response) => {
    request.resume()
    if (random() < failing) {
      response.statusCode = 500
      response.end(`orders ${version} failed\n`)
      return
    }
    response.end(`orders ${version}: ${request.method} ${request.url}\n`)
  })
  const port = await listen(server, 0)
  return {
    url: `http://127.0.0.1:${port}`,
    fail: (rate) => {
      failing = rate
    },
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
