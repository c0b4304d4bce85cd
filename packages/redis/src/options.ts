import { CanaryError, type Logger } from '@canary-release/core'
import type { ClientSettings } from './dialer.js'

/** The options of {@link redisStore}. */
export interface RedisStoreOptions {
  /**
   * `redis://` or `rediss://` (TLS), with user and password: `redis://user:password@host:6379`. Either this or `client` is
   * required.
   *
   * @default none
   */
  readonly url?: string | undefined
  /**
   * A client of `@redis/client` made by `createClient`, `createCluster` or `createSentinel`, for all that a URL cannot
   * say. Its settings are used; it need not be connected, and is never closed. Either this or `url` is required.
   *
   * @default none
   */
  readonly client?: ClientSettings | undefined
  /**
   * Of the registry: several of them may share a server. 1 to 100 letters, digits, `.`, `_` and `-`.
   *
   * @default 'default'
   */
  readonly name?: string | undefined
  /**
   * How many replicas must have received a change before it counts as made: 0 … 10. They received it, which is not to say
   * that it is on their disks. Where too few did in time, the change is in force, and its outcome is `unknown`.
   *
   * @default 0
   */
  readonly replicas?: number | undefined
  /**
   * `none`: do not demand `appendonly yes` and `maxmemory-policy noeviction`. Changes may then be lost with the server.
   *
   * @default 'disk'
   */
  readonly durability?: 'disk' | 'none' | undefined
  /**
   * Warned if the server's clock is set, and of settings that lose changes.
   *
   * @default console
   */
  readonly logger?: Logger | undefined
}

export interface ResolvedOptions {
  readonly source: string | ClientSettings
  readonly name: string
  readonly replicas: number
  readonly durable: boolean
  readonly logger: Logger
}

const KNOWN = new Set(['url', 'client', 'name', 'replicas', 'durability', 'logger'])

/** @throws {CanaryError} ERR_CANARY_OPTION that names the first bad option */
export function resolved(options: RedisStoreOptions): ResolvedOptions {
  if (typeof options !== 'object' || options === null) throw bad('redisStore must get an object of options')
  for (const key of Object.keys(options)) {
    if (!KNOWN.has(key))
      throw bad(`redisStore.${key.slice(0, 100)} is not an option: known are ${[...KNOWN].join(', ')}`)
  }
  const { name = 'default', replicas = 0, durability = 'disk', logger = console } = options
  if (typeof name !== 'string' || !/^[\w.-]{1,100}$/.test(name)) {
    throw bad('redisStore.name must be 1 to 100 letters, digits, ".", "_" and "-"')
  }
  if (!Number.isInteger(replicas) || replicas < 0 || replicas > 10) {
    throw bad(`redisStore.replicas must be a whole number from 0 to 10, got ${String(replicas)}`)
  }
  if (durability !== 'disk' && durability !== 'none') throw bad('redisStore.durability must be "disk" or "none"')
  if (typeof logger?.warn !== 'function') throw bad('redisStore.logger must have info, warn and error')
  return { source: sourceOf(options), name, replicas, durable: durability === 'disk', logger }
}

function sourceOf({ url, client }: RedisStoreOptions): string | ClientSettings {
  if ((url === undefined) === (client === undefined)) throw bad('redisStore needs either url or client')
  if (client !== undefined) {
    if (typeof client !== 'object' || client === null || typeof client.duplicate !== 'function') {
      throw bad('redisStore.client must be made by createClient, createCluster or createSentinel of @redis/client')
    }
    return client
  }
  // The URL holds a password: it is never shown.
  if (typeof url !== 'string' || !/^rediss?:\/\//.test(url) || !URL.canParse(url)) {
    throw bad('redisStore.url must be a URL that begins with redis:// or rediss://')
  }
  return url
}

function bad(message: string): CanaryError {
  return new CanaryError('ERR_CANARY_OPTION', message)
}
