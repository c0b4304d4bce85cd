import type { Move } from '../../release/lifecycle.js'
import type { RestartShare } from '../../release/restart.js'
import type { DeclaredRecords } from './declared.js'
import type { EntityKind } from '../entities/entities.js'
import type { Row } from '../records/rows.js'
import type { SyncReport } from './sync-report.js'

/** An entity that a collection belongs to: `{ kind: 'services', key: 'orders' }` of `/services/orders/plugins`. */
export interface Parent {
  /** The kind of the one that it belongs to. */
  readonly kind: 'services' | 'routes' | 'consumers' | 'apis'
  /** Id or name. */
  readonly key: string
}

/**
 * What a change may do. All of it is checked at once, and kept only where the whole change succeeds. The `revision` of a
 * row that it returns is known when the change is stored.
 */
export interface Draft {
  /** By id, or name (username or custom_id of a consumer, key of a credential, instance_name of a plugin). */
  get<Kind extends EntityKind>(kind: Kind, key: string): Row<Kind> | null
  /**
   * Creates an entity from a body in Kong's shape, old names included. A parent overrides the body's reference.
   *
   * @throws {ViolationError} nothing of the whole change is kept
   */
  create<Kind extends EntityKind>(kind: Kind, body: unknown, parent?: Parent | undefined): Row<Kind>
  /**
   * Changes the fields that the body says; `null` where there is no such entity.
   *
   * A body that says what is stored already changes nothing. A release that was rolled back, promoted or is complete
   * begins again by another `config.start` or location of B, and by another `config.percentage` unless the guard rolled
   * it back.
   *
   * @throws {ViolationError}
   */
  patch<Kind extends EntityKind>(kind: Kind, key: string, body: unknown, parent?: Parent | undefined): Row<Kind> | null
  /**
   * Creates the entity, or replaces it: what the body does not say is the default. A key that is no UUID is its name.
   *
   * @throws {ViolationError}
   */
  replace<Kind extends EntityKind>(kind: Kind, key: string, body: unknown, parent?: Parent | undefined): Row<Kind>
  /**
   * Deletes an entity, with its plugins (and a consumer's credentials and groups); `null` where it is not there.
   *
   * @throws {ViolationError} a foreign key violation, where a service still has routes
   */
  remove<Kind extends EntityKind>(kind: Kind, key: string): Row<Kind> | null
  /**
   * Makes all records those of a file: creates, replaces and deletes. What the file leaves open stays as it is: the start
   * of a ramp, a key, and an id, if the record is found by its name or scope. A record that is the same already is not
   * touched, nor is the state of its release.
   *
   * @throws {ViolationError} nothing of the whole change is kept
   */
  sync(declarative: DeclaredRecords): SyncReport
  /**
   * Rolls back, promotes, pauses, resumes or restarts a plugin's release; `null` where there is no such plugin.
   *
   * @param share what a restart begins again with, where that is another percentage, start or duration
   * @throws {CanaryError} ERR_CANARY_STATE where the move is not legal now
   * @throws {ViolationError} where the share fits no plugin
   */
  move(
    plugin: string,
    move: Move,
    reason?: string | null | undefined,
    share?: RestartShare | undefined,
  ): Row<'plugins'> | null
  /**
   * Both of Kong's two steps: location A takes B's place and the plugin goes. `null` where there is no such plugin.
   *
   * @returns the service or api, as it is now
   * @throws {CanaryError} ERR_CANARY_STATE after a rollback, and where the plugin has no single location: global, on a
   * consumer, or on a route whose service has other routes
   */
  finalize(plugin: string): Row<'services'> | Row<'apis'> | null
}
