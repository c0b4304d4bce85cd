import http from 'node:http'
import type { UrlUpstream } from '../../upstream.js'
import type { ResolvedHealthOptions } from '../options.js'
import { inRoot } from '../../request-context.js'
import { openSocket } from '../upstream-socket.js'
import type { Health } from './health.js'

/** What is checked, and how. */
export interface CheckedUpstream {
  readonly upstream: UrlUpstream
  readonly options: NonNullable<ResolvedHealthOptions>
}

/**
 * The active checks of one B, for as long as somebody wants them. They keep the process alive no more than they keep the
 * release: each check asks first whether it is still wanted.
 */
export class HealthChecks {
  readonly #checked: CheckedUpstream
  readonly #health: Health
  readonly #isWanted: () => boolean
  readonly #ended: () => void
  #timer: NodeJS.Timeout | undefined
  #request: http.ClientRequest | null = null
  #good = 0
  #bad = 0

  constructor(checked: CheckedUpstream, health: Health, isWanted: () => boolean, ended: () => void) {
    this.#checked = checked
    this.#health = health
    this.#isWanted = isWanted
    this.#ended = ended
  }

  start(): void {
    this.#health.checked(null)
    inRoot(() => this.#check())
  }

  /** Ends the checks; B is then judged by its connections alone. */
  stop(): void {
    clearTimeout(this.#timer)
    const request = this.#request
    this.#request = null
    request?.destroy()
    this.#health.checked(null)
    this.#ended()
  }

  #check(): void {
    if (!this.#isWanted()) return this.stop()
    const { upstream, options } = this.#checked
    const request = http.request({
      path: options.path,
      headers: ['host', upstream.host, 'connection', 'close', 'user-agent', 'canary-release'],
      setHost: false,
      createConnection: () => openSocket(upstream, () => {}).unref(),
    })
    this.#request = request
    let status = 0
    const late = setTimeout(() => request.destroy(), options.timeoutMs).unref()
    request.on('response', (response) => {
      status = response.statusCode ?? 0
      // The head is all that counts.
      request.destroy()
    })
    request.on('error', () => {})
    request.on('close', () => {
      clearTimeout(late)
      if (this.#request !== request) return
      this.#request = null
      this.#judge(status >= 200 && status < 400)
      this.#timer = setTimeout(() => this.#check(), options.intervalMs).unref()
    })
    request.end()
  }

  #judge(good: boolean): void {
    const { healthy, unhealthy } = this.#checked.options
    this.#good = good ? this.#good + 1 : 0
    this.#bad = good ? 0 : this.#bad + 1
    if (this.#good >= healthy) this.#health.checked(true)
    else if (this.#bad >= unhealthy) this.#health.checked(false)
  }
}
