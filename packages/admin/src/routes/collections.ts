import type { EntityKind, Parent } from '@canary-release/core/registry'

/** A list of records with a path. */
export interface Collection {
  readonly kind: EntityKind
  /** `/services/{service}/plugins`. */
  readonly path: string
  /** What the last part of a record's path is called. */
  readonly key: string
  /** What the records belong to; its path parameter. */
  readonly parent: { readonly kind: Parent['kind']; readonly param: string } | null
  /** For names of operations: `listServicePlugins`, `createServicePlugin`. */
  readonly one: string
  readonly many: string
}

function top(kind: EntityKind, one: string, segment: string = kind, key = one.toLowerCase()): Collection {
  return { kind, path: `/${segment}`, key, parent: null, one, many: `${one}s` }
}

function nested(of: Parent['kind'], kind: EntityKind, segment: string, key: string, name: string): Collection {
  const param = of.slice(0, -1)
  const one = `${param.charAt(0).toUpperCase()}${param.slice(1)}${name}`
  return { kind, path: `/${of}/{${param}}/${segment}`, key, parent: { kind: of, param }, one, many: `${one}s` }
}

export const COLLECTIONS: readonly Collection[] = [
  top('services', 'Service'),
  top('routes', 'Route'),
  top('consumers', 'Consumer'),
  top('apis', 'Api'),
  top('plugins', 'Plugin'),
  top('keyauth_credentials', 'Key', 'key-auths', 'credential'),
  top('acls', 'Acl'),
  nested('services', 'routes', 'routes', 'route', 'Route'),
  nested('services', 'plugins', 'plugins', 'plugin', 'Plugin'),
  nested('routes', 'plugins', 'plugins', 'plugin', 'Plugin'),
  nested('consumers', 'plugins', 'plugins', 'plugin', 'Plugin'),
  nested('apis', 'plugins', 'plugins', 'plugin', 'Plugin'),
  nested('consumers', 'keyauth_credentials', 'key-auth', 'credential', 'Key'),
  nested('consumers', 'acls', 'acls', 'acl', 'Acl'),
]
