import type { EntityKind } from '../entities/entities.js'

/** A record in a {@link SyncReport}. */
export interface SyncedRecord {
  /** The record's kind. */
  readonly kind: EntityKind
  /** The record's id. */
  readonly id: string
  /** What people call it; `null` for one without a name, and for keys. */
  readonly name: string | null
}

/** What makes a registry's records those of a file. */
export interface SyncReport {
  /** Records that the file has and the registry has not. */
  readonly created: readonly SyncedRecord[]
  /** With the fields that change: `['host', 'config.percentage']`. */
  readonly updated: readonly (SyncedRecord & {
    /** The fields that change. */
    readonly fields: readonly string[]
  })[]
  /** Records that the file does not have. */
  readonly deleted: readonly SyncedRecord[]
  /** How many records the file has that stay as they are. */
  readonly unchanged: number
}
