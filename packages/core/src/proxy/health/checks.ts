import http from 'node:http'
import { inRoot } from '../../request-context.js'
import { openSocket } from '../upstream-socket.js'
import type { ForwardedRelease } from '../forward-call.js'
import { healthOf } from './health.js'

type Settings = ForwardedRelease['options']

/**
 * The active checks of one release's B, by its present options. They keep the process alive no more than they keep the
 * release: where nobody else has it, they end.
 */
export class HealthChecks {
  readonly #now: () => number
  readonly #ended: (checks: HealthChecks) => void
  #release: WeakRef<ForwardedRelease>
  #health: Settings['health'] = null
  #upstream: Settings['upstreams']['B'] | null = null
  #timer: NodeJS.Timeout | undefined
  #request: http.ClientRequest | null = null
  /** What is checked: another upstream or other settings begin anew. */
  #checking = ''
  #good = 0
  #bad = 0

  constructor(release: ForwardedRelease, now: () => number, ended: (checks: HealthChecks) => void) {
    this.#release = new WeakRef(release)
    this.#now = now
    this.#ended = ended
  }

  /** Takes up a release's options: cheap where they did not change. */
  refresh(release: ForwardedRelease): void {
    const { health, upstreams } = release.options
    if (health === this.#health && upstreams.B === this.#upstream) return
    this.#release = new WeakRef(release)
    this.#health = health
    this.#upstream = upstreams.B
    const active = health !== null && upstreams.B.kind === 'url'
    const checking = active ? JSON.stringify([health, upstreams.B.kind === 'url' ? upstreams.B.poolKey : null]) : ''
    if (checking === this.#checking) return
    this.#halt()
    healthOf(release, this.#now).checked(null)
    this.#checking = checking
    if (active) inRoot(() => this.#check())
  }

  /** Ends the checks; B is then judged by its connections alone. */
  stop(): void {
    this.#halt()
    const release = this.#release.deref()
    if (release !== undefined) healthOf(release, this.#now).checked(null)
    this.#ended(this)
  }

  #halt(): void {
    clearTimeout(this.#timer)
    this.#request?.destroy()
    this.#request = null
    this.#checking = ''
    this.#good = 0
    this.#bad = 0
  }

  #check(): void {
    const health = this.#health
    const upstream = this.#upstream
    if (this.#release.deref() === undefined || health === null || upstream?.kind !== 'url') return this.stop()
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
    const release = this.#release.deref()
    if (release === undefined) return
    const health = healthOf(release, this.#now)
    if (this.#good >= healthy) health.checked(true)
    else if (this.#bad >= unhealthy) health.checked(false)
  }
}
