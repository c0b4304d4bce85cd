import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * Joins two sockets until both are closed. Each has an error handler from now to its end, and neither outlives the
 * other; an open tunnel may be silent for as long as it likes.
 *
 * `halfOpenMs` limits the silence once one side has said that it sends no more.
 */
export function joinSockets(client: Duplex, upstream: Duplex, halfOpenMs: number, closed: () => void): () => void {
  let open = true
  const destroy = (): void => {
    if (!open) return
    open = false
    client.destroy()
    upstream.destroy()
    closed()
  }
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    if (from instanceof Socket) from.setTimeout(0).setNoDelay(true).setKeepAlive(true, 60_000).on('timeout', destroy)
    from.on('error', destroy).on('close', destroy)
    from.on('end', () => {
      if (to instanceof Socket) to.setTimeout(halfOpenMs)
    })
    from.pipe(to)
  }
  // Either may have gone while nobody listened.
  if (client.destroyed || upstream.destroyed) destroy()
  return destroy
}
