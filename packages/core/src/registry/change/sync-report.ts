import type { EntityKind } from '../entities/entities.js'

/** A record in a {@link SyncReport}. */
export interface SyncedRecord {
  readonly kind: EntityKind
  readonly id: string
  /** What people call it; `null` for one without a name, and for keys. */
  readonly name: string | null
}

/** What makes a registry's records those of a file. */
export interface SyncReport {
  readonly created: readonly SyncedRecord[]
  /** With the fields that change: `['host', 'config.percentage']`. */
  readonly updated: readonly (SyncedRecord & { readonly fields: readonly string[] })[]
  readonly deleted: readonly SyncedRecord[]
  /** How many records the file has that stay as they are. */
  readonly unchanged: number
}
