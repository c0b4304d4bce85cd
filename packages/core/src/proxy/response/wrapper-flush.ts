import { disown, hookError, isPromise } from '../../hook.js'
import type { Attempt } from '../forwarder.js'
import { isGone } from './client-connection.js'

/** Types whose pieces are messages: whoever reads them waits for each. */
const MESSAGES =
  /^\s*(?:text\/event-stream|application\/(?:x-)?(?:nd-?json|jsonl|jsonlines|json-seq|stream\+json))\s*(?:;|$)/i

/**
 * Makes a middleware that compresses give out what it holds back: it put `flush` on the response for that. Messages
 * leave at once, and anything else when nothing more has come by the next turn, because a flush after every piece would
 * ruin the compression.
 */
export class WrapperFlush {
  readonly #attempt: Attempt
  readonly #flushes: () => unknown
  readonly #atOnce: boolean
  /** Something was written since the loop last came round. */
  #fresh = false
  #waits = false
  #stopped = false

  constructor(attempt: Attempt, flushes: () => unknown) {
    this.#attempt = attempt
    this.#flushes = flushes
    this.#atOnce = MESSAGES.test(String(attempt.response.getHeader('content-type')))
  }

  /** Something was written. */
  wrote(): void {
    if (this.#atOnce) return this.#flush()
    this.#fresh = true
    if (this.#waits) return
    this.#waits = true
    setImmediate(this.#onTurn)
  }

  /** The response is being ended, which lets everything out. */
  stop(): void {
    this.#stopped = true
  }

  /** What is fresh was written in this turn: only after the next has the loop looked for more. */
  readonly #onTurn = (): void => {
    if (this.#stopped) return
    if (this.#fresh) {
      this.#fresh = false
      setImmediate(this.#onTurn)
    } else {
      this.#waits = false
      this.#flush()
    }
  }

  #flush(): void {
    const { response, context, reports } = this.#attempt
    if (isGone(response) || response.writableEnded) return
    const failed = (error: unknown) => reports.reportOnce('flush', hookError('flush of the response failed', error))
    try {
      const returned = context.runInAsyncScope(this.#flushes, response)
      if (isPromise(returned)) disown(returned, failed)
    } catch (error) {
      failed(error)
    }
  }
}

/** `null` where no middleware has put a `flush` on the response: Node has none of its own. */
export function wrapperFlush(attempt: Attempt): WrapperFlush | null {
  const { response } = attempt
  if (!('flush' in response) || typeof response.flush !== 'function') return null
  return new WrapperFlush(attempt, response.flush as () => unknown)
}
