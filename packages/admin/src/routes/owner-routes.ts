import { type Draft, type Registry, type Row } from '@canary-release/core/registry'
import { SCHEMA_NAMES } from '../schemas/entity-schemas.js'
import { type AdminRequest, type Operation, rowAnswer } from '../operation.js'
import { notFound } from '../refusal.js'
import { shown } from '../shown-record.js'

/** A record that another one refers to: `/routes/{route}/service`. */
interface OwnerPath {
  readonly of: 'routes' | 'plugins' | 'keyauth_credentials' | 'acls'
  readonly segment: string
  readonly param: string
  readonly name: string
  readonly field: 'service' | 'route' | 'consumer' | 'api'
  readonly kind: 'services' | 'routes' | 'consumers' | 'apis'
}

const owner = (
  of: OwnerPath['of'],
  name: string,
  field: OwnerPath['field'],
  kind: OwnerPath['kind'],
  segment: string = of,
  param = name.toLowerCase(),
): OwnerPath => ({ of, segment, param, name, field, kind })

const OWNERS: readonly OwnerPath[] = [
  owner('routes', 'Route', 'service', 'services'),
  owner('plugins', 'Plugin', 'service', 'services'),
  owner('plugins', 'Plugin', 'route', 'routes'),
  owner('plugins', 'Plugin', 'consumer', 'consumers'),
  owner('plugins', 'Plugin', 'api', 'apis'),
  owner('keyauth_credentials', 'Key', 'consumer', 'consumers', 'key-auths', 'credential'),
  owner('acls', 'Acl', 'consumer', 'consumers'),
]

/** What a record belongs to, read, changed and replaced under the record's own path. */
export function ownerOperations(registry: Registry): Operation[] {
  return OWNERS.flatMap((path) => [
    readOperation(registry, path),
    changeOperation(registry, path, 'PATCH'),
    changeOperation(registry, path, 'PUT'),
  ])
}

function pathOf({ segment, param, field }: OwnerPath): string {
  return `/${segment}/{${param}}/${field}`
}

function idOf(verb: string, { name, field }: OwnerPath): string {
  return `${verb}${name}${field.charAt(0).toUpperCase()}${field.slice(1)}`
}

function readOperation(registry: Registry, path: OwnerPath): Operation {
  return {
    method: 'GET',
    path: pathOf(path),
    id: idOf('get', path),
    summary: `Shows the ${path.field} of a ${path.name.toLowerCase()}.`,
    answer: { status: 200, schema: SCHEMA_NAMES[path.kind] },
    errors: [404],
    run(request) {
      const row = ownerOf(registry, path, request)
      return rowAnswer(row, shown(row))
    },
  }
}

function changeOperation(registry: Registry, path: OwnerPath, method: 'PATCH' | 'PUT'): Operation {
  const { kind, field, name } = path
  return {
    method,
    path: pathOf(path),
    id: idOf(method === 'PATCH' ? 'update' : 'replace', path),
    summary: `${method === 'PATCH' ? 'Changes' : 'Replaces'} the ${field} of a ${name.toLowerCase()}.`,
    body: `${SCHEMA_NAMES[kind]}${method === 'PATCH' ? 'Change' : 'Body'}`,
    answer: { status: 200, schema: SCHEMA_NAMES[kind] },
    errors: [400, 404, 409, 412],
    async run(request) {
      const row = await registry.change(request.by, (draft) => {
        const present = ownerOf(draft, path, request)
        request.preconditions(present)
        const { id } = present.entity
        return method === 'PATCH' ? draft.patch(kind, id, request.body) : draft.replace(kind, id, request.body)
      })
      if (row === null) throw notFound()
      return rowAnswer(row, shown(row))
    },
  }
}

/** @throws {Refusal} 404 where the record is not there, or belongs to none */
function ownerOf(reader: Pick<Draft, 'get'>, path: OwnerPath, { params }: AdminRequest): Row {
  const row = reader.get(path.of, params[path.param] ?? '')
  const reference: unknown = row === null ? null : Reflect.get(row.entity, path.field)
  const isReference = typeof reference === 'object' && reference !== null && 'id' in reference
  const found = isReference ? reader.get(path.kind, String(reference.id)) : null
  if (found === null) throw notFound()
  return found
}
