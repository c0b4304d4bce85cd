import { parseEntity } from '../entities/body.js'
import { normalise } from '../entities/kong-names.js'
import type { EntityKind } from '../entities/entities.js'
import { checkRelease } from '../records/record-release.js'
import { Tables } from '../records/tables.js'
import { schemaViolation } from '../entities/violation.js'
import { withStart } from './record-start.js'
import { NOBODY, resolveReferences } from './references.js'

/**
 * Checks a body against the schema of its kind, as creating it would. Whether what it refers to is there, and whether
 * its names are free, is not looked at.
 *
 * @throws {ViolationError}
 */
export function validateEntity(kind: EntityKind, body: unknown): void {
  const made = kind === 'keyauth_credentials' ? { key: 'made' } : {}
  const said = { id: NOBODY, created_at: 0, updated_at: 0, ...made, ...normalise(kind, body) }
  // In an empty table every reference is dangling, and stands for itself.
  const { fields } = resolveReferences(new Tables(), kind, said, undefined)
  if (kind !== 'plugins') {
    parseEntity(kind, fields)
    return
  }
  const plugin = parseEntity('plugins', withStart(fields, null, 0))
  const refused = checkRelease(plugin, Date.now)
  if (refused !== null) throw schemaViolation(refused)
}
