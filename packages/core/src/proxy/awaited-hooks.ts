import { CanaryError } from '../errors.js'
import { hookError } from '../hook.js'
import type { Attempt } from './forwarder.js'
import { hasLeft } from './response/client-connection.js'
import { Tunnels } from './upgrade/tunnel.js'
import { closedError, duration, requestTimeoutError } from './upstream-error.js'

/** The headers to send; the error to answer; `null` where the client has left. */
export type HookOutcome = string[] | CanaryError | null

/** The requests of a mount that wait for an async `onRequestHeaders`. Nothing of theirs was read or sent yet. */
export class AwaitedHooks {
  readonly #waiting = new Tunnels()
  #closed = false

  /** Calls `settled` once: when the hook is done, the client leaves, time is up or the mount closes. */
  wait(hooked: Promise<string[]>, attempt: Attempt, settled: (outcome: HookOutcome) => void): void {
    const client = attempt.upgrade?.socket ?? attempt.response
    const { endsAt, settings } = attempt
    const { headersTimeoutMs } = settings
    const leftMs = endsAt === null ? Infinity : endsAt - performance.now()
    let over = false
    const end = (outcome: HookOutcome): void => {
      if (over) return
      over = true
      clearTimeout(timer)
      client.off('close', left)
      this.#waiting.delete(close)
      settled(outcome)
    }
    const left = () => end(null)
    const close = () => end(closedError())
    const late = () => end(hookError(`onRequestHeaders did not settle in ${duration(headersTimeoutMs)}`))
    const timer =
      leftMs < headersTimeoutMs
        ? setTimeout(() => end(requestTimeoutError(settings)), leftMs)
        : setTimeout(late, headersTimeoutMs)
    this.#waiting.add(close)
    client.on('close', left)
    // A reset while nobody else listens must not be an uncaught error.
    attempt.upgrade?.socket.on('error', ignore)
    hooked.then(
      (headers) => end(isOver(attempt) ? null : this.#closed ? closedError() : headers),
      (error: unknown) => end(error instanceof CanaryError ? error : hookError('onRequestHeaders failed', error)),
    )
    if (isOver(attempt)) left()
    else if (this.#closed) close()
  }

  /** Resolves once none waits; what waits after `graceMs` is ended. From then on none waits any more. */
  async close(graceMs: number): Promise<void> {
    await this.#waiting.drain(graceMs)
    this.#closed = true
  }
}

function isOver({ response, upgrade }: Attempt): boolean {
  return upgrade === null ? hasLeft(response) : upgrade.socket.destroyed
}

function ignore(): void {}
