import type { EntityKind } from './entities.js'

/** What Kong means by a field of its own that is nothing here: which of its values change nothing. */
type Harmless = (value: unknown) => boolean

const nothing: Harmless = (value) => {
  if (typeof value !== 'object' || value === null) return value === null || value === undefined
  return Object.keys(value).length === 0
}
const anything: Harmless = () => true
const nothingOr =
  (...values: readonly unknown[]): Harmless =>
  (value) =>
    nothing(value) || values.includes(value)

/** Fields of Kong 2 and 3 beyond those that are stored here. */
const KONG_FIELDS: { readonly [Kind in EntityKind]?: Readonly<Record<string, Harmless>> } = {
  services: {
    ca_certificates: nothing,
    client_certificate: nothing,
    // Certificates of upstreams are checked here in any case.
    tls_verify: nothingOr(true),
    tls_verify_depth: nothing,
    tls_sans: nothing,
  },
  routes: { sources: nothing, destinations: nothing, expression: nothing, priority: nothing },
  consumers: { type: nothingOr(0, 'proxy'), username_lower: anything },
  plugins: {
    consumer_group: nothing,
    ordering: nothing,
    run_on: nothingOr('first'),
    condition: nothing,
    partials: nothing,
  },
}
/** Kong's workspaces are none here: one registry is one. */
const EVERYWHERE: Readonly<Record<string, Harmless>> = { ws_id: anything }

function ruleOf(kind: EntityKind, field: string): Harmless | undefined {
  for (const rules of [KONG_FIELDS[kind] ?? {}, EVERYWHERE]) if (Object.hasOwn(rules, field)) return rules[field]
  return undefined
}

/** Whether a field is one of Kong's that says nothing with this value: it may be left out. */
export function saysNothing(kind: EntityKind, field: string, value: unknown): boolean {
  return ruleOf(kind, field)?.(value) ?? false
}

/** What is said of a field that a record cannot have. */
export function unknownField(kind: EntityKind, field: string): string {
  // Kong's own answer where consumer groups are not known.
  if (field === 'consumer_group' || ruleOf(kind, field) === undefined) return 'unknown field'
  return 'is not supported: only null is taken'
}

/** Whether a field is one that Kong has and that is nothing here. */
export function isKongField(kind: EntityKind, field: string): boolean {
  return ruleOf(kind, field) !== undefined
}
