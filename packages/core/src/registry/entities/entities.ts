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
})

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
})

/** At least one of `username` and `custom_id`. */
export const consumerSchema = z.strictObject({ ...stamped, username: orNull(name), custom_id: orNull(name) })

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
})

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
})

/** A consumer's key. Never in lists, logs or the audit trail. */
export const keyauthSchema = z.strictObject({
  ...stamped,
  key: text,
  consumer: ref,
  /** Stored and returned only. */
  ttl: orNull(valueBetween(number, 0, 100_000_000)),
})

/** A consumer's membership in a group. */
export const aclSchema = z.strictObject({ ...stamped, group: label, consumer: ref })

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

export type Service = Readonly<z.output<typeof serviceSchema>>
export type Route = Readonly<z.output<typeof routeSchema>>
export type Consumer = Readonly<z.output<typeof consumerSchema>>
export type Api = Readonly<z.output<typeof apiSchema>>
export type Plugin = Readonly<z.output<typeof pluginSchema>>
export type KeyauthCredential = Readonly<z.output<typeof keyauthSchema>>
export type Acl = Readonly<z.output<typeof aclSchema>>

export interface Entities {
  readonly services: Service
  readonly routes: Route
  readonly consumers: Consumer
  readonly apis: Api
  readonly plugins: Plugin
  readonly keyauth_credentials: KeyauthCredential
  readonly acls: Acl
}

export type EntityKind = keyof Entities
export type EntityOf<Kind extends EntityKind> = Entities[Kind]
export type Ref = Readonly<z.output<typeof ref>>

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
