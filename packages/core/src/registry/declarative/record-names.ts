import { type Body, isBody } from '../entities/body.js'
import type { EntityKind } from '../entities/entities.js'
import { NAMES_OF, REFERENCE_FIELDS, kindOf } from '../entities/keys.js'

/** Records by all that others may call them, so that who refers to them is found. */
export class RecordNames {
  readonly #names = new Set<string>()

  add(kind: EntityKind, record: Body): void {
    for (const field of ['id', ...NAMES_OF[kind]]) {
      const name = record[field]
      if (typeof name === 'string') this.#names.add(nameOf(kind, field, name))
    }
  }

  /** The field of a record that refers to one of these; `null` where none does. */
  referredBy(kind: EntityKind, record: Body): string | null {
    const found = REFERENCE_FIELDS[kind].find((field) => {
      const reference = record[field]
      if (!isBody(reference)) return false
      return Object.entries(reference).some(
        ([name, value]) => typeof value === 'string' && this.#names.has(nameOf(kindOf(field), name, value)),
      )
    })
    return found ?? null
  }
}

function nameOf(kind: EntityKind, field: string, name: string): string {
  return `${kind} ${field} ${field === 'id' ? name.toLowerCase() : name}`
}
