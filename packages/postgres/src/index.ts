import type { Store } from '@canary-release/core/registry'
import { type PostgresStoreOptions, resolveOptions } from './options.js'
import { PostgresStore } from './postgres-store.js'

export type { Logger } from '@canary-release/core'
export type { Store } from '@canary-release/core/registry'
export { migrations } from './migrations.js'
export type { PostgresStoreOptions } from './options.js'

/**
 * A store in a PostgreSQL database: the processes whose registries are kept in the same schema behave as one. It
 * connects when it is first asked, and makes its tables then if they are missing.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION for a bad option; what is wrong with the server is said by `load`, which
 * `createRegistry` calls: ERR_CANARY_STORE
 */
export function postgresStore(options: PostgresStoreOptions): Store {
  return new PostgresStore(resolveOptions(options))
}
