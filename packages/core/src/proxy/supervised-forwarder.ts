import { CanaryError } from '../errors.js'
import { disown, hookError, isPromise } from '../hook.js'
import type { Attempt, AttemptResult, Forwarder } from './forwarder.js'
import { cutOff, isGone, wasCutShort } from './response/client-connection.js'
import { duration, requestTimeoutError, upstreamError } from './upstream-error.js'

const own = new WeakSet<Forwarder>()

/** Marks a forwarder of these packages: it keeps the promises of its interface, and nobody need watch over it. */
export function ownForwarder(forwarder: Forwarder): Forwarder {
  own.add(forwarder)
  return forwarder
}

/** A forwarder of the application's, so that whatever it does each request ends once, and with its own error. */
export function supervised(given: Forwarder): Forwarder {
  if (own.has(given)) return given
  return {
    forward: (attempt, head, done) => new SupervisedAttempt(attempt, head, done).start(given),
    close: (graceMs = 10_000, mount) => closeInTime(given, graceMs, mount),
  }
}

/** What a forwarder gets beyond the time it was given to close. */
const CLOSE_MS = 1000
const LONGEST_TIMER_MS = 2_147_483_647

async function closeInTime(given: Forwarder, graceMs: number, mount: object | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.min(graceMs + CLOSE_MS, LONGEST_TIMER_MS))
  })
  try {
    await Promise.race([given.close(graceMs, mount), late])
  } catch (error) {
    throw hookError('the forwarder could not be closed', error)
  } finally {
    clearTimeout(timer)
  }
}

const PHASES: ReadonlySet<unknown> = new Set<AttemptResult['phase']>(['connect', 'head', 'body', 'done'])

class SupervisedAttempt {
  readonly #attempt: Attempt
  readonly #head: (status: number) => void
  readonly #done: (result: AttemptResult) => void
  readonly #limitMs: number
  #status: number | null = null
  #headCame = false
  #over = false
  #timer: NodeJS.Timeout | undefined
  #timeUp: NodeJS.Timeout | undefined
  /** Of the client's connection, when somebody last looked: an upload may take as long as it goes on. */
  #bytesRead = 0

  constructor(attempt: Attempt, head: (status: number) => void, done: (result: AttemptResult) => void) {
    const { connectTimeoutMs, headersTimeoutMs } = attempt.settings
    this.#attempt = attempt
    this.#head = head
    this.#done = done
    this.#limitMs = Math.min(2 * connectTimeoutMs + headersTimeoutMs, LONGEST_TIMER_MS)
  }

  start(given: Forwarder): void {
    this.#client.on('close', this.#onClientClose)
    this.#bytesRead = bytesRead(this.#attempt)
    this.#timer = setTimeout(this.#onTime, this.#limitMs)
    const { endsAt } = this.#attempt
    if (endsAt !== null) this.#timeUp = setTimeout(this.#onTimeUp, endsAt - performance.now())
    try {
      const returned: unknown = given.forward(this.#attempt, this.#onHead, this.#onDone)
      if (isPromise(returned)) disown(returned, (error) => this.#fail('the forwarder rejected', error))
    } catch (error) {
      this.#fail('the forwarder threw', error)
    }
  }

  get #client() {
    return this.#attempt.upgrade?.socket ?? this.#attempt.response
  }

  /** Whether the client was given something: an error can be answered no more then. */
  get #began(): boolean {
    return this.#headCame || this.#attempt.response.headersSent
  }

  readonly #onHead = (status: unknown): void => {
    if (this.#over || this.#headCame) return
    clearTimeout(this.#timer)
    this.#headCame = true
    this.#status = statusOf(status) ?? this.#attempt.response.statusCode
    this.#head(this.#status)
  }

  readonly #onDone = (result: unknown): void => {
    if (this.#over) return
    if (typeof result !== 'object' || result === null || !('phase' in result) || !PHASES.has(result.phase)) {
      return this.#fail('the forwarder ended the request with no valid result', result)
    }
    const { phase, status, error, aborted } = result as Record<keyof AttemptResult, unknown>
    const known = error ?? null
    if (known !== null && !(known instanceof CanaryError)) return this.#fail('the forwarder failed', known)
    if (known === null && aborted !== true && !this.#hasAnswered()) {
      return this.#fail('the forwarder ended the request without an answer')
    }
    if (known !== null && this.#began) this.#cutOff()
    this.#end({
      phase: this.#phaseOf(phase as AttemptResult['phase']),
      status: statusOf(status) ?? this.#status,
      error: known,
      aborted: aborted === true,
    })
  }

  /** What was not begun can still be answered, and what was begun cannot be answered again, whatever was said. */
  #phaseOf(said: AttemptResult['phase']): AttemptResult['phase'] {
    const isEarly = said === 'connect' || said === 'head'
    if (this.#began) return isEarly ? 'body' : said
    return isEarly || this.#hasAnswered() ? said : 'head'
  }

  /** An upgrade is answered on the socket itself, which nobody sees here. */
  #hasAnswered(): boolean {
    const { response, upgrade } = this.#attempt
    return upgrade !== null || response.headersSent || isGone(response)
  }

  #fail(message: string, cause?: unknown): void {
    const error = hookError(message, cause)
    if (this.#over) return this.#attempt.reports.reportOnce('forwarder', error)
    const began = this.#began
    if (began) this.#cutOff()
    this.#end({ phase: began ? 'body' : 'connect', status: this.#status, error, aborted: false })
  }

  #cutOff(): void {
    const { response, upgrade } = this.#attempt
    if (upgrade !== null) upgrade.socket.destroy()
    else if (!response.writableEnded) cutOff(response)
  }

  readonly #onClientClose = (): void => {
    // The forwarder may be about to say so itself, and knows more.
    setImmediate(() => {
      if (this.#over) return
      const { response } = this.#attempt
      const whole = this.#began && !wasCutShort(response)
      const phase = whole ? 'done' : this.#began ? 'body' : 'connect'
      const status = this.#status ?? (response.headersSent ? response.statusCode : null)
      this.#end({ phase, status, error: null, aborted: !whole })
    })
  }

  readonly #onTime = (): void => {
    if (this.#began) return
    const read = bytesRead(this.#attempt)
    if (read === this.#bytesRead) return this.#fail(`the forwarder gave no sign of life in ${duration(this.#limitMs)}`)
    this.#bytesRead = read
    this.#timer = setTimeout(this.#onTime, this.#limitMs)
  }

  /** It tells of nobody whom it waits for: of the client where not all of the request is here, or it takes no more. */
  readonly #onTimeUp = (): void => {
    const { request, response, settings, upgrade } = this.#attempt
    const began = this.#began
    if (began) this.#cutOff()
    const ofClient = upgrade === null && (began ? response.writableNeedDrain : !request.complete)
    const error = ofClient ? requestTimeoutError(settings) : upstreamError('request-timeout', this.#attempt)
    const aborted = began && ofClient
    this.#end({ phase: began ? 'body' : 'head', status: this.#status, error: aborted ? null : error, aborted })
  }

  #end(result: AttemptResult): void {
    this.#over = true
    clearTimeout(this.#timer)
    clearTimeout(this.#timeUp)
    this.#client.off('close', this.#onClientClose)
    this.#done(result)
  }
}

function statusOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= 100 && value <= 999 ? value : null
}

function bytesRead({ request, response }: Attempt): number {
  // The socket of an HTTP/2 stream that is gone throws.
  return isGone(response) ? 0 : (request.socket.bytesRead ?? 0)
}
