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

/**
 * Starts an example where it is the program, and not where a test imports it: on port 8000, or on the one that the
 * environment's `PORT` says.
 */
export async function runIfMain(
  module: string,
  start: (port: number) => Promise<Running>,
  hint: string,
): Promise<void> {
  if (process.argv[1] !== fileURLToPath(module)) return
  const { PORT: port = '8000' } = process.env
  try {
    const { url, close } = await start(Number(port))
    process.once('SIGINT', () => void close().then(() => process.exit(0)))
    process.stdout.write(`${hint.replaceAll('URL', url)}\nCtrl-C ends it.\n`)
  } catch (error) {
    process.stderr.write(`${sentenceOf(error, port)}\n`)
    process.exit(1)
  }
}

function sentenceOf(error: unknown, port: string): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'EADDRINUSE') return `Port ${port} is in use by another program: choose another with PORT=8080.`
  if (code === 'ERR_SOCKET_BAD_PORT') return `PORT must be 0 to 65535, got ${port}.`
  throw error
}
