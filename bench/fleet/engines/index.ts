import type { Engine } from './engine.js'
import { postgres } from './postgres.js'
import { redis } from './redis.js'

/** Each kind of server, by name. */
export const engines: ReadonlyMap<string, Engine> = new Map([postgres, redis].map((engine) => [engine.name, engine]))

export function engineOf(name: string | undefined): Engine {
  const engine = engines.get(name ?? '')
  if (engine === undefined) throw new Error(`no such engine: known are ${[...engines.keys()].join(', ')}`)
  return engine
}
