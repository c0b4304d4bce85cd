import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Drain } from '../drain.js'

/** What a forwarder has under way, each as the function that ends it. */
export class Tunnels {
  readonly #open = new Set<() => void>()
  readonly #drain = new Drain(
    () => this.#open.size === 0,
    () => {
      for (const end of this.#open) end()
    },
  )

  add(end: () => void): void {
    this.#open.add(end)
  }

  delete(end: () => void): void {
    if (this.#open.delete(end) && this.#open.size === 0) this.#drain.emptied()
  }

  /** Resolves once none is open; what is left after `graceMs` is ended. */
  drain(graceMs: number): Promise<void> {
    return this.#drain.wait(graceMs)
  }
}

/**
 * Joins two sockets until both are closed: each has an error handler from now to its end, and neither outlives the
 * other. An open tunnel may be silent for as long as it likes; once one side has said that it sends no more, the other
 * may be silent for `halfOpenMs`.
 */
export function joinSockets(client: Duplex, upstream: Duplex, halfOpenMs: number, tunnels: Tunnels): void {
  const end = (): void => {
    client.destroy()
    upstream.destroy()
    tunnels.delete(end)
  }
  tunnels.add(end)
  connectOneWay(client, upstream, halfOpenMs, end)
  connectOneWay(upstream, client, halfOpenMs, end)
  // Either may have gone while nobody listened.
  if (client.destroyed || upstream.destroyed) end()
}

function connectOneWay(from: Duplex, to: Duplex, halfOpenMs: number, end: () => void): void {
  if (from instanceof Socket) from.setTimeout(0).setNoDelay(true).setKeepAlive(true, 60_000).on('timeout', end)
  from.on('error', end).on('close', end)
  from.on('end', () => {
    if (to instanceof Socket) to.setTimeout(halfOpenMs)
  })
  from.pipe(to)
}
