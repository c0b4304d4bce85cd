import type { Body } from '../entities/body.js'
import type { EntityKind } from '../entities/entities.js'

/** One record of a declarative file. */
export interface DeclaredBody {
  readonly kind: EntityKind
  readonly body: Body
  /** The file says no id for it: it follows from its name or scope. @default false */
  readonly idIsDerived?: boolean | undefined
}

/** The records of a declarative file. */
export interface DeclaredRecords {
  /** What others refer to comes before them. */
  readonly bodies: readonly DeclaredBody[]
}
