import type { EventEmitter } from 'node:events'

type Arguments = readonly unknown[]

/** The `emit` of one emitter, in the hands of somebody who sees its events first. */
export interface TakenEmit {
  /** Emits as if nobody had taken it. */
  further(args: Arguments): boolean
  /** Gives it back. */
  restore(): void
}

/** Shows each event of an emitter before its listeners get it; they do not where `takes` says true. */
export function takeEmit(emitter: EventEmitter, takes: (args: Arguments) => boolean): TakenEmit {
  const own = Object.getOwnPropertyDescriptor(emitter, 'emit')
  const before = own === undefined ? null : emitter.emit
  let active = true

  function further(args: Arguments): boolean {
    // Asked for each time: tracing puts its own on the prototype, maybe later.
    const emit: unknown = before ?? Reflect.get(Object.getPrototypeOf(emitter), 'emit')
    return typeof emit === 'function' && Reflect.apply(emit, emitter, args)
  }

  const emit = (...args: Arguments): boolean => (active && takes(args)) || further(args)
  Object.defineProperty(emitter, 'emit', { value: emit, configurable: true, writable: true, enumerable: false })
  return {
    further,
    restore: () => {
      active = false
      // Somebody else may have put his own before it meanwhile.
      if (Reflect.get(emitter, 'emit') !== emit) return
      if (own === undefined) Reflect.deleteProperty(emitter, 'emit')
      else Object.defineProperty(emitter, 'emit', own)
    },
  }
}
