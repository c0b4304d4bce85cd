import http from 'node:http'
import { openSocket } from './connector.js'
import type { ForwardedRelease } from './forwarder.js'
import { healthOf } from './health.js'

/** The active checks of one release's B. They follow the release's present options; nothing else has to be told. */
export class HealthChecks {
  readonly #release: ForwardedRelease
  readonly #now: () => number
  #timer: NodeJS.Timeout | undefined
  #request: http.ClientRequest | null = null
  /** What was checked last: another upstream or other settings begin anew. */
  #checking = ''
  #good = 0
  #bad = 0

  constructor(release: ForwardedRelease, now: () => number) {
    this.#release = release
    this.#now = now
  }

  /** Takes up the release's present options. */
  refresh(): void {
    const { health, upstreams } = this.#release.options
    const active = health !== null && upstreams.B.kind === 'url'
    const checking = active ? JSON.stringify([health, upstreams.B.kind === 'url' ? upstreams.B.poolKey : null]) : ''
    if (checking === this.#checking) return
    this.stop()
    this.#checking = checking
    if (active) this.#check()
  }

  /** Ends the checks; B is then judged by its connections alone. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#request?.destroy()
    this.#request = null
    this.#checking = ''
    this.#good = 0
    this.#bad = 0
    healthOf(this.#release, this.#now).checked(null)
  }

  #check(): void {
    const { health, upstreams } = this.#release.options
    if (health === null || upstreams.B.kind !== 'url') return this.stop()
    const upstream = upstreams.B
    const request = http.request({
      path: health.path,
      headers: ['host', upstream.host, 'connection', 'close', 'user-agent', 'canary-release'],
      setHost: false,
      createConnection: () => openSocket(upstream, () => {}).unref(),
    })
    this.#request = request
    let status = 0
    const late = setTimeout(() => request.destroy(), health.timeoutMs).unref()
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
      this.#judge(status >= 200 && status < 400, health.healthy, health.unhealthy)
      this.#timer = setTimeout(() => this.#check(), health.intervalMs).unref()
    })
    request.end()
  }

  #judge(good: boolean, healthy: number, unhealthy: number): void {
    this.#good = good ? this.#good + 1 : 0
    this.#bad = good ? 0 : this.#bad + 1
    const health = healthOf(this.#release, this.#now)
    if (this.#good >= healthy) health.checked(true)
    else if (this.#bad >= unhealthy) health.checked(false)
  }
}
