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
export function takeEmit(
  emitter: EventEmitter,
  takes: (event: unknown, first: unknown, second: unknown, third: unknown) => boolean,
): TakenEmit {
  const own = Object.getOwnPropertyDescriptor(emitter, 'emit')
  const before = own === undefined ? null : emitter.emit
  let active = true

  /** Asked for each time: tracing puts its own on the prototype, maybe later. */
  function inherited(): EventEmitter['emit'] {
    const { emit }: EventEmitter = Object.getPrototypeOf(emitter)
    return emit
  }

  // Every request comes by here: one by one, the arguments need no array of their own.
  const emit = (...args: Arguments): boolean =>
    (active && takes(args[0], args[1], args[2], args[3])) || Reflect.apply(before ?? inherited(), emitter, args)
  Object.defineProperty(emitter, 'emit', { value: emit, configurable: true, writable: true, enumerable: false })
  return {
    further: (args) => Reflect.apply(before ?? inherited(), emitter, args),
    restore: () => {
      active = false
      // Somebody else may have put his own before it meanwhile.
      if (Reflect.get(emitter, 'emit') !== emit) return
      if (own === undefined) Reflect.deleteProperty(emitter, 'emit')
      else Object.defineProperty(emitter, 'emit', own)
    },
  }
}
