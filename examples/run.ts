import type { Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import { listen } from './demo/listen.js'
import { startUpstream } from './demo/upstream.js'

/** An example that runs. */
export interface Running {
  readonly url: string
  close(): Promise<void>
}

/** Two small servers, so that an example runs without anything else. */
export async function startVersions(): Promise<{
  A: string
  B: string
  fail: (rate: number) => void
  close: () => void
}> {
  const A = await startUpstream('version 1 (A)', Math.random)
  const B = await startUpstream('version 2 (B)', Math.random)
  const close = () => {
    A.close()
    B.close()
  }
  return { A: A.url, B: B.url, fail: B.fail, close }
}

/** Listens on loopback, and closes in the order in which nothing is cut that could end. */
export async function serve(
  server: Server & { closeAllConnections(): void },
  port: number,
  ...closing: (() => unknown)[]
): Promise<Running> {
  const actual = await listen(server, port)
  return {
    url: `http://127.0.0.1:${actual}`,
    close: async () => {
      server.close()
      server.closeAllConnections()
      for (const close of closing) await close()
    },
  }
}

/** Starts an example where it is the program, and not where a test imports it. */
export async function runIfMain(
  module: string,
  start: (port: number) => Promise<Running>,
  hint: string,
): Promise<void> {
  if (process.argv[1] !== fileURLToPath(module)) return
  const { url, close } = await start(8000)
  process.stdout.write(`${hint.replaceAll('URL', url)}\nCtrl-C ends it.\n`)
  process.once('SIGINT', () => void close().then(() => process.exit(0)))
}
