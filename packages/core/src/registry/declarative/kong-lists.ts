import type { EntityKind } from '../entities/entities.js'

/** What a list at the top of a file, or within an entity, holds. */
export const KIND_OF: ReadonlyMap<string, EntityKind> = new Map([
  ['services', 'services'],
  ['routes', 'routes'],
  ['consumers', 'consumers'],
  ['apis', 'apis'],
  ['plugins', 'plugins'],
  ['keyauth_credentials', 'keyauth_credentials'],
  ['acls', 'acls'],
])

export interface NestedLists {
  readonly field: 'service' | 'route' | 'consumer' | 'api'
  readonly lists: readonly string[]
}

/** The lists of an entity, whose records belong to it. */
export const NESTED: ReadonlyMap<EntityKind, NestedLists> = new Map([
  ['services', { field: 'service', lists: ['routes', 'plugins'] }],
  ['routes', { field: 'route', lists: ['plugins'] }],
  ['consumers', { field: 'consumer', lists: ['keyauth_credentials', 'acls', 'plugins'] }],
  ['apis', { field: 'api', lists: ['plugins'] }],
])

/** What Kong keeps in such files and is nothing here. */
export const UNSUPPORTED_LISTS: ReadonlySet<string> = new Set([
  'upstreams',
  'targets',
  'certificates',
  'ca_certificates',
  'snis',
  'vaults',
  'key_sets',
  'keys',
  'consumer_groups',
  'consumer_group_consumers',
  'consumer_group_plugins',
  'groups',
  'filter_chains',
  'partials',
  'licenses',
  'basicauth_credentials',
  'hmacauth_credentials',
  'jwt_secrets',
  'oauth2_credentials',
  'oauth2_tokens',
  'mtls_auth_credentials',
  'sessions',
  'acme_storage',
  'custom_plugins',
  'degraphql_routes',
  'graphql_ratelimiting_advanced_cost_decoration',
  'document_objects',
  'event_hooks',
  'files',
  'rbac_roles',
  'rbac_users',
  'rbac_role_entities',
  'rbac_role_endpoints',
  'service_packages',
  'service_versions',
])

/** What says nothing about traffic: a cluster's own parameters, notes, and where a file came from. */
export const METADATA_FIELDS: ReadonlySet<string> = new Set([
  '_format_version',
  '_transform',
  '_comment',
  '_ignore',
  '_workspace',
  '_konnect',
  'parameters',
])

/** Names that hold anchors and notes of whoever wrote the file. */
export function isExtension(name: string): boolean {
  return name.startsWith('x-')
}
