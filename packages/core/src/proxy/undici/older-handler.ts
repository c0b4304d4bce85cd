import { Client, type Dispatcher } from 'undici'
import type { Controller } from './private-hooks.js'

/** What undici 8 calls, and 7 as well. */
export interface Handler extends Dispatcher.DispatchHandler {
  onRequestStart(controller: Controller): void
  onResponseStarted(): void
  onResponseStart(controller: Controller, status: number, headers: unknown, reason?: string): void
  onResponseData(controller: Controller, chunk: Buffer): void
  onResponseEnd(controller: Controller): void
  onResponseError(controller: unknown, error: Error): void
}

/** Whether this undici takes handlers of its older interface: 7 does, 8 throws. Nothing is sent to find out. */
const takesOlder = takesOlderHandlers()

function takesOlderHandlers(): boolean {
  // Refused for its missing path, by the handler's own `onError` where it is one.
  const request: unknown = {}
  try {
    new Client('http://localhost').dispatch(request as Dispatcher.DispatchOptions, { onConnect() {}, onError() {} })
    return true
  } catch {
    return false
  }
}

/**
 * The handler to give to undici. Where undici takes its older interface, that is what it gets: undici 7 calls a handler
 * of the newer one through two objects more, and makes strings of each head that nobody reads, which costs 1 µs a
 * response with 5 headers and 3 µs with 12.
 */
export function toUndiciHandler(handler: Handler): Dispatcher.DispatchHandler {
  return takesOlder ? new OlderHandler(handler) : handler
}

class OlderHandler implements Dispatcher.DispatchHandler, Controller {
  readonly #handler: Handler
  #resume: (() => void) | null = null
  #isPaused = false
  rawHeaders: Buffer[] | null = null
  rawTrailers: string[] | null = null

  constructor(handler: Handler) {
    this.#handler = handler
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#resume?.()
  }

  onConnect(): void {
    this.#handler.onRequestStart(this)
  }

  onResponseStarted(): void {
    this.#handler.onResponseStarted()
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void, reason: string): boolean {
    this.#resume = resume
    this.rawHeaders = raw
    this.#handler.onResponseStart(this, status, null, reason)
    return !this.#isPaused
  }

  onData(chunk: Buffer): boolean {
    this.#handler.onResponseData(this, chunk)
    return !this.#isPaused
  }

  onComplete(raw: string[] | null): void {
    this.rawTrailers = raw
    this.#handler.onResponseEnd(this)
  }

  onError(error: Error): void {
    this.#handler.onResponseError(this, error)
  }
}
