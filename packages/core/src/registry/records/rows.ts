import type { ReleaseRecord } from '../../release/lifecycle.js'
import type { EntityKind, EntityOf } from '../entities/entities.js'

/** What a person or the guard did with a plugin's release, as it is stored. */
export interface StoredRecord extends ReleaseRecord {
  /**
   * Names the run that the release is in: the id of the commit that began it, by creating the plugin, by a restart, by
   * another A or B, or by resuming after a breach. Runs are compared for equality only. What a process did in another
   * run is over.
   *
   * @default none: the run of a plugin that was written by hand
   */
  readonly run?: string | undefined
  /** Whether the guard paused it for a breach: with a resume, another run begins. @default false */
  readonly breach?: true | undefined
  /**
   * How many buckets a ramp may have on B, where the guards of several processes hold it together: the share is a
   * function of the record and the store's clock. @default none: time alone says it
   */
  readonly gate?: number | undefined
}

/** What is written of an entity. It has no revision: that is the version of the commit. */
export interface RowContent<Kind extends EntityKind = EntityKind> {
  /** Its kind. */
  readonly kind: Kind
  /** The record itself, in Kong's shape. */
  readonly entity: EntityOf<Kind>
  /** What a person or the guard did with a plugin's release; `null` for the other kinds. */
  readonly release: StoredRecord | null
}

/** An entity as it is stored. */
export interface Row<Kind extends EntityKind = EntityKind> extends RowContent<Kind> {
  /** The registry's version at which it last changed: what an ETag is made from. */
  readonly revision: number
}

/** Whether a row is one of `kind`. */
export function isOf<Kind extends EntityKind>(row: Row, kind: Kind): row is Row<Kind>
export function isOf<Kind extends EntityKind>(row: RowContent, kind: Kind): row is RowContent<Kind>
export function isOf(row: RowContent, kind: EntityKind): boolean {
  return row.kind === kind
}

/** One row written, or taken away (`row: null`). */
export interface RowChange {
  /** The row's kind. */
  readonly kind: EntityKind
  /** The id of its record. */
  readonly id: string
  /** The row as it is now; `null`: it is gone. */
  readonly row: RowContent | null
}

/** A change of a commit's row as it is stored: with the version of the commit as its revision. */
export function rowOf({ row }: RowChange, version: number): Row | null {
  return row === null ? null : { ...row, revision: version }
}
