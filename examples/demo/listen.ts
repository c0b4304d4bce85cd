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

/** What went wrong, for a person: a port in use, or a store that cannot be reached, is no reason for a stack. */
export function sentenceOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    const port = 'port' in error ? ` ${String(error.port)}` : ''
    return `port${port} is in use by another program: choose others with --port and --admin-port`
  }
  if (!(error instanceof Error)) return String(error)
  const cause = causeOf(error)
  return cause === '' ? error.message : `${error.message} (${cause})`
}

/** What lies behind a failure: of several attempts to connect, their code. */
function causeOf({ cause }: Error): string {
  if (!(cause instanceof Error)) return ''
  return cause.message || ('code' in cause ? String(cause.code) : cause.name)
}
