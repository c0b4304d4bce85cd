import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Decision, currentDecision } from '@canary-release/core'
import { expect } from 'vitest'

/** Whom the application has authenticated: one object for each request. */
export const users = new AsyncLocalStorage<{ readonly id: string }>()

/** The request that a callback was called for: by its arguments, by its store, and by its decision. */
interface Call {
  readonly event: string
  readonly id: string
  readonly store: string | undefined
  readonly decision: Decision | undefined
  /** What the canary had last told of the request when the callback was called. */
  readonly told: Decision | undefined
}

/** What follows the canary in its own framework runs outside of it. */
export type Place = 'inside' | 'outside'

/** Their responses are cut off by the canary alone. */
const WRAPPED = new Set(['/large', '/half', '/stalls'])

/** All callbacks of some requests, and whose context each has run in. */
export class Ledger {
  readonly #calls: Call[] = []
  readonly #decisions = new Map<string, Decision>()
  readonly #ids = new Map<Decision, string>()
  readonly #outside = new Set<Call>()
  readonly #givenBack = new Set<string>()

  /** The decision of a request, from now on. */
  decided(id: string, decision: Decision): void {
    this.#decisions.set(id, decision)
    this.#ids.set(decision, id)
  }

  requestOf(decision: Decision): string {
    return this.#ids.get(decision) ?? 'nobody'
  }

  note(event: string, id: string, place: Place = 'inside', told = this.#decisions.get(id)): void {
    const call = {
      event,
      id,
      store: users.getStore()?.id,
      decision: currentDecision(),
      told,
    }
    this.#calls.push(call)
    if (place === 'inside') return
    this.#outside.add(call)
    this.#givenBack.add(id)
  }

  /** Notes a callback now, and once more when promises, timers and I/O have gone by. */
  noteForLong(event: string, id: string): void {
    const told = this.#decisions.get(id)
    this.note(event, id)
    void Promise.resolve().then(() => this.note(`${event}, a promise later`, id, 'inside', told))
    setTimeout(() => this.note(`${event}, a timer later`, id, 'inside', told), 1)
  }

  /** How a response ends. Of a client that left, Node tells in nobody's context. */
  watch(request: IncomingMessage, response: ServerResponse): string {
    const id = idOf(request)
    const place = () => (this.#givenBack.has(id) ? 'outside' : 'inside')
    if (WRAPPED.has(request.url ?? '')) this.#wrap(response, id, place)
    response.on('finish', () => this.note('finish', id, place()))
    response.on('close', () => {
      if (response.writableFinished) this.note('close', id, place())
      else this.leave(id)
    })
    return id
  }

  /** As middlewares do that compress, measure or log. */
  #wrap(response: ServerResponse, id: string, place: () => Place): void {
    const { write, destroy } = response
    response.write = (...chunk: unknown[]) => {
      this.note('write', id, place())
      return Reflect.apply(write, response, chunk)
    }
    response.destroy = (error) => {
      this.note('destroy', id, place())
      return destroy.call(response, error)
    }
  }

  /** Node's own word that a client left: nobody's, but never another request's. */
  leave(id: string): void {
    if (users.getStore() === undefined) return
    this.note('close of a client that left', id)
  }

  /** The requests that an event has been seen of. */
  requestsOf(event: string): Set<string> {
    return new Set(this.#calls.filter((call) => call.event === event).map(({ id }) => id))
  }

  /** Every callback saw its own request's store and decision. */
  expectOwn(): void {
    const strangers = this.#calls.filter((call) => call.store !== call.id)
    expect(strangers.map(({ event, id, store }) => `${event} of ${id} sees ${store}`)).toEqual([])
    const others = this.#calls.filter((call) => {
      const foreign = call.decision !== call.told
      return foreign && !(this.#outside.has(call) && call.decision === undefined)
    })
    expect(others.map(({ event, id, decision }) => `${event} of ${id} sees the decision ${say(decision)}`)).toEqual([])
  }
}

export function idOf({ headers }: { readonly headers: IncomingMessage['headers'] }): string {
  return String(headers['x-id'])
}

function say(decision: Decision | undefined): string {
  return decision === undefined ? 'of nobody' : `${decision.upstream} (${decision.reason})`
}
