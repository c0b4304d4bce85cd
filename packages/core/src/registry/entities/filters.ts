import type { EntityKind } from './entities.js'

/** The fields by which a list of each kind may be narrowed; `service_id` and the like are the ids of references. */
export const FILTERS = {
  services: ['id', 'name', 'protocol', 'host', 'port', 'path', 'enabled'],
  routes: ['id', 'name', 'service_id'],
  consumers: ['id', 'username', 'custom_id'],
  apis: ['id', 'name', 'upstream_url'],
  plugins: ['id', 'name', 'instance_name', 'enabled', 'service_id', 'route_id', 'consumer_id', 'api_id'],
  keyauth_credentials: ['id', 'key', 'consumer_id'],
  acls: ['id', 'group', 'consumer_id'],
} as const satisfies { readonly [Kind in EntityKind]: readonly string[] }
