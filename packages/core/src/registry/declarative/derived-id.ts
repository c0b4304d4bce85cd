import { createHash } from 'node:crypto'
import type { Body } from '../entities/body.js'
import type { EntityKind } from '../entities/entities.js'
import type { Path } from './declarative-fault.js'

/** Fields that hold the id of another entity, or its name. */
export const REFERENCES: ReadonlySet<string> = new Set(['service', 'route', 'consumer', 'api'])

const NAMING = [
  'name',
  'username',
  'custom_id',
  'instance_name',
  'key',
  'group',
  'service',
  'route',
  'consumer',
  'api',
] as const

/** An id that follows from what names an entity; where nothing does, from where it stands. */
export function derivedId(kind: EntityKind, body: Body, path: Path): string {
  const names = NAMING.filter((name) => body[name] !== undefined && body[name] !== null)
  const naming = names.includes('instance_name')
    ? [['instance_name', body.instance_name]]
    : names.map((name) => [name, body[name]])
  const isNamed = kind === 'plugins' || names.some((name) => !REFERENCES.has(name))
  if (!isNamed) naming.push(['path', path])
  const hash = createHash('sha256')
    .update(`canary-release ${kind} ${JSON.stringify(naming)}`)
    .digest('hex')
  // The shape of a UUID version 8, which is anyone's own.
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `a${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join('-')
}
