import type { Row } from '@canary-release/core/registry'
import { isOf, withoutKey } from '@canary-release/core/registry/internal'

/** A record as it is answered: consumers' keys are left out, and the field of legacy apis where it says nothing. */
export function shown(row: Row): object {
  return isOf(row, 'keyauth_credentials') ? withoutKey(row.entity) : shownWithKey(row)
}

/** How records are answered, with consumers' keys or without. */
export function presentation(showKeys: boolean): (row: Row) => object {
  return showKeys ? shownWithKey : shown
}

/** A record as it is answered to who made it: nobody sees a credential's key again. */
export function shownWithKey(row: Row): object {
  if (!isOf(row, 'plugins') || row.entity.api !== null) return row.entity
  const { api: _, ...plugin } = row.entity
  return plugin
}

const FIELDS = { services: 'service', routes: 'route', consumers: 'consumer', apis: 'api' } as const

/** Whether a record refers to another one. */
export function belongsTo(row: Row, owner: Row): boolean {
  const field = owner.kind in FIELDS ? FIELDS[owner.kind as keyof typeof FIELDS] : null
  const reference: unknown = field === null ? null : Reflect.get(row.entity, field)
  return typeof reference === 'object' && reference !== null && 'id' in reference && reference.id === owner.entity.id
}
