import { z } from 'zod'
import {
  flag,
  integer,
  label,
  listOf,
  name,
  number,
  oneOf,
  orDefault,
  orNull,
  path,
  ref,
  says,
  seconds,
  tags,
  text,
  uuid,
  valueBetween,
} from './fields.js'
import { canaryConfigSchema } from './plugin-schema.js'
import type { Acl, Api, Consumer, KeyauthCredential, Plugin, Route, Service } from './records.js'

export type { Acl, Api, Consumer, KeyauthCredential, Plugin, Ref, Route, Service, Stamped } from './records.js'

/** Schemas of fields, one for each and no other: a schema and its documented interface cannot drift apart. */
type Stored<Entity> = { readonly [Name in keyof Entity]-?: z.ZodType<Entity[Name]> }

/** What every entity has. Times are whole seconds since the epoch. */
const stamped = { id: uuid, created_at: seconds, updated_at: seconds, tags }

const milliseconds = valueBetween(integer, 1, 2_147_483_646)
const protocol = oneOf(['http', 'https'])
const routeProtocol = oneOf(['http', 'https', 'grpc', 'grpcs', 'ws', 'wss'])
const pluginProtocol = oneOf(['grpc', 'grpcs', 'http', 'https', 'ws', 'wss', 'tcp', 'tls', 'tls_passthrough', 'udp'])
const method = text.regex(/^[A-Z]+$/, { error: 'expected an HTTP method in upper case' })
const routePath = text.refine((value) => /^[/~]/.test(value), {
  error: 'should start with: / (fixed path) or ~/ (regex path)',
})

/** Location A. Retries and timeouts are stored and returned; the mount's own apply. */
export const serviceSchema = z.strictObject({
  ...stamped,
  name: orNull(name),
  protocol: orDefault(protocol, 'http'),
  host: text,
  port: valueBetween(integer, 1, 65_535),
  path: orNull(path),
  retries: orDefault(valueBetween(integer, 0, 32_767), 5),
  connect_timeout: orDefault(milliseconds, 60_000),
  write_timeout: orDefault(milliseconds, 60_000),
  read_timeout: orDefault(milliseconds, 60_000),
  /** False: mounts of it answer as if it were not known. */
  enabled: orDefault(flag, true),
} satisfies Stored<Service>)

/** Stored and returned, never matched: a mount says which route it is. */
export const routeSchema = z.strictObject({
  ...stamped,
  name: orNull(name),
  service: orNull(ref),
  protocols: orDefault(listOf(routeProtocol), ['http', 'https']),
  methods: orNull(listOf(method)),
  hosts: orNull(listOf(text)),
  paths: orNull(listOf(routePath)),
  headers: orNull(z.record(text, listOf(text), { error: 'expected a map' })),
  snis: orNull(listOf(text)),
  https_redirect_status_code: orDefault(valueBetween(integer, 301, 426), 426),
  regex_priority: orDefault(integer, 0),
  strip_path: orDefault(flag, true),
  path_handling: orDefault(oneOf(['v0', 'v1']), 'v0'),
  preserve_host: orDefault(flag, false),
  request_buffering: orDefault(flag, true),
  response_buffering: orDefault(flag, true),
} satisfies Stored<Route>)

/** At least one of `username` and `custom_id`. */
export const consumerSchema = z.strictObject({
  ...stamped,
  username: orNull(name),
  custom_id: orNull(name),
} satisfies Stored<Consumer>)

/** A legacy api: service and route in one. */
export const apiSchema = z.strictObject({
  ...stamped,
  name,
  upstream_url: text,
  uris: orNull(listOf(routePath)),
  hosts: orNull(listOf(text)),
  methods: orNull(listOf(method)),
  strip_uri: orDefault(flag, true),
  preserve_host: orDefault(flag, false),
  retries: orDefault(valueBetween(integer, 0, 32_767), 5),
  upstream_connect_timeout: orDefault(milliseconds, 60_000),
  upstream_send_timeout: orDefault(milliseconds, 60_000),
  upstream_read_timeout: orDefault(milliseconds, 60_000),
  https_only: orDefault(flag, false),
  http_if_terminated: orDefault(flag, false),
} satisfies Stored<Api>)

/** A canary and its scope; without one it is global. */
export const pluginSchema = z.strictObject({
  ...stamped,
  name: z.literal('canary', says('expected a string')),
  instance_name: orNull(name),
  service: orNull(ref),
  route: orNull(ref),
  consumer: orNull(ref),
  /** A legacy api; Kong's newer plugins do not have the field: leave it out of an answer where it is null. */
  api: orNull(ref),
  config: canaryConfigSchema.prefault({}),
  protocols: orDefault(listOf(pluginProtocol), ['grpc', 'grpcs', 'http', 'https']),
  enabled: orDefault(flag, true),
} satisfies Stored<Plugin>)

/** A consumer's key. Never in lists, logs or the audit trail. */
export const keyauthSchema = z.strictObject({
  ...stamped,
  key: text,
  consumer: ref,
  /** Stored and returned only. */
  ttl: orNull(valueBetween(number, 0, 100_000_000)),
} satisfies Stored<KeyauthCredential>)

/** A consumer's membership in a group. */
export const aclSchema = z.strictObject({ ...stamped, group: label, consumer: ref } satisfies Stored<Acl>)

/** The schemas by kind; what they give out is what is stored and returned, in Kong's JSON. */
export const entitySchemas = {
  services: serviceSchema,
  routes: routeSchema,
  consumers: consumerSchema,
  apis: apiSchema,
  plugins: pluginSchema,
  keyauth_credentials: keyauthSchema,
  acls: aclSchema,
}

/** Records by their kind, which is the name of their list in Kong. */
export interface Entities {
  /** Locations A. */
  readonly services: Service
  /** Parts of services that a mount can name. */
  readonly routes: Route
  /** Callers. */
  readonly consumers: Consumer
  /** Legacy apis. */
  readonly apis: Api
  /** Canaries. */
  readonly plugins: Plugin
  /** Keys of consumers. */
  readonly keyauth_credentials: KeyauthCredential
  /** Memberships of consumers in groups. */
  readonly acls: Acl
}

/** A kind of record: the name of its list in Kong. */
export type EntityKind = keyof Entities
/** The record of a kind. */
export type EntityOf<Kind extends EntityKind> = Entities[Kind]

/** In the order in which they may be written: what is referred to comes first. */
export const ENTITY_KINDS = [
  'services',
  'routes',
  'consumers',
  'apis',
  'keyauth_credentials',
  'acls',
  'plugins',
] as const satisfies readonly EntityKind[]
