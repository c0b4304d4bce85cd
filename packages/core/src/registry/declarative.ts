import type { EntityKind } from './entities.js'

/** A declarative file, read and checked: bodies in the order in which they may be created. */
export interface Declarative {
  readonly bodies: readonly { readonly kind: EntityKind; readonly body: Readonly<Record<string, unknown>> }[]
}
