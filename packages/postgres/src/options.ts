import type { Pool } from 'pg'
import { CanaryError, type Logger } from '@canary-release/core'

/** Where a registry is kept, and by which connections. */
export interface PostgresStoreOptions {
  /**
   * The server and database: `postgres://user:password@host:5432/database`. Either this or `pool` is required.
   *
   * @default none
   */
  readonly connectionString?: string | undefined
  /**
   * A pool of the application's instead, for at least two connections: one listens, as long as the store is open. The
   * store does not end it. Either this or `connectionString` is required.
   *
   * @default none
   */
  readonly pool?: Pool | undefined
  /** The schema of its tables, which is made where it is missing: 1 to 63 bytes. @default 'canary' */
  readonly schema?: string | undefined
  /**
   * Warned if the server's clock is set.
   *
   * @default console
   */
  readonly logger?: Logger | undefined
}

export interface ResolvedOptions {
  readonly source: string | Pool
  readonly schema: string
  readonly logger: Logger
}

const KNOWN = ['connectionString', 'pool', 'schema', 'logger']

export function resolveOptions(options: PostgresStoreOptions): ResolvedOptions {
  if (typeof options !== 'object' || options === null) throw invalid('options must be an object')
  for (const name of Object.keys(options)) {
    if (!KNOWN.includes(name)) throw invalid(`${name} is not an option: known are ${KNOWN.join(', ')}`)
  }
  const { connectionString, pool, schema = 'canary', logger = console } = options
  if ((connectionString === undefined) === (pool === undefined)) {
    throw invalid('connectionString or pool must be given, and not both')
  }
  if (typeof schema !== 'string' || schema === '' || Buffer.byteLength(schema) > 63 || schema.includes('\0')) {
    throw invalid('schema must be a name of 1 to 63 bytes')
  }
  if (/^pg_|^information_schema$/.test(schema)) throw invalid("schema must not be one of PostgreSQL's own")
  if (typeof logger?.warn !== 'function') throw invalid('logger must have info, warn and error')
  return { source: connectionString === undefined ? checkedPool(pool) : checkedUrl(connectionString), schema, logger }
}

function checkedUrl(url: unknown): string {
  // What is in it is not shown: it holds a password.
  if (typeof url === 'string' && /^(?:postgres(?:ql)?:\/\/|socket:|\/)./.test(url)) return url
  throw invalid('connectionString must be a URL that begins with postgres://')
}

function checkedPool(pool: Pool | undefined): Pool {
  if (typeof pool?.connect !== 'function' || typeof pool.on !== 'function') {
    throw invalid('pool must be a Pool of the package pg')
  }
  const { max } = pool.options
  if (max < 2) throw invalid(`pool must have max 2 or more, got ${max}: one connection listens`)
  return pool
}

function invalid(message: string): CanaryError {
  return new CanaryError('ERR_CANARY_OPTION', message)
}
