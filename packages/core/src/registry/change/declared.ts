import type { EntityKind } from '../entities/entities.js'

/** One record of a declarative file. */
export interface DeclaredBody {
  /** The kind of the record. */
  readonly kind: EntityKind
  /** What the file says of it, in Kong's shape. */
  readonly body: Readonly<Record<string, unknown>>
  /** The file says no id for it: it follows from its name or scope. @default false */
  readonly idIsDerived?: boolean | undefined
}

/** The records of a declarative file. */
export interface DeclaredRecords {
  /** What others refer to comes before them. */
  readonly bodies: readonly DeclaredBody[]
}
