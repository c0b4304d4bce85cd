import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'

// Servers run as children of the tests, so that they can be killed, stopped and started again.

/** Ports that nobody listens on. Each is given once. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await once(server.listen(0, '127.0.0.1'), 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Ends a child by a signal, and waits until it is gone. One that was stopped goes on first. */
export async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill(signal)
  if (signal !== 'SIGKILL') child.kill('SIGCONT')
  await exited
}

/** Asks again and again until it is so. For what nobody sends an event of: a server that is about to listen. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: string,
  milliseconds = 20_000,
): Promise<void> {
  const end = performance.now() + milliseconds
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- again and again
    if (await isSo()) return
    if (performance.now() > end) throw new Error(`not so after ${milliseconds} ms: ${what}`)
    // oxlint-disable-next-line no-await-in-loop -- again and again
    await new Promise((resolve) => {
      setTimeout(resolve, 10)
    })
  }
}
