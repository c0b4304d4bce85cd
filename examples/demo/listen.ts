import type { AddressInfo, Server } from 'node:net'

/** Listens on loopback, and says on which port: `0` takes any free one. */
export function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve((server.address() as AddressInfo).port)
    })
  })
}

/** What went wrong, for a person: a port in use is no reason for a stack. */
export function sentenceOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    const port = 'port' in error ? ` ${String(error.port)}` : ''
    return `port${port} is in use by another program: choose others with --port and --admin-port`
  }
  return error instanceof Error ? error.message : String(error)
}
