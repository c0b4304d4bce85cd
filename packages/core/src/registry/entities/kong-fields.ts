import type { EntityKind } from './entities.js'

/**
 * Which values of a field say nothing, besides null and what is empty; `any`: whatever it says, it means nothing here.
 */
export type HarmlessValues = 'any' | readonly (string | number | boolean)[]

/** Fields of Kong 2 and 3 beyond those that are stored here. */
const KONG_FIELDS: { readonly [Kind in EntityKind]?: Readonly<Record<string, HarmlessValues>> } = {
  services: {
    ca_certificates: [],
    client_certificate: [],
    // Certificates of upstreams are checked here in any case.
    tls_verify: [true],
    tls_verify_depth: [],
    tls_sans: [],
  },
  routes: { sources: [], destinations: [], expression: [], priority: [] },
  consumers: { type: [0, 'proxy'], username_lower: 'any' },
  plugins: { consumer_group: [], ordering: [], run_on: ['first'], condition: [], partials: [] },
}
/** Kong's workspaces are none here: one registry is one. */
const EVERYWHERE: Readonly<Record<string, HarmlessValues>> = { ws_id: 'any' }

/** Fields that Kong's records of a kind have and that are not stored here, with the values that are taken. */
export function kongFieldsOf(kind: EntityKind): Readonly<Record<string, HarmlessValues>> {
  return { ...EVERYWHERE, ...KONG_FIELDS[kind] }
}

function ruleOf(kind: EntityKind, field: string): HarmlessValues | undefined {
  for (const rules of [KONG_FIELDS[kind] ?? {}, EVERYWHERE]) if (Object.hasOwn(rules, field)) return rules[field]
  return undefined
}

/** Whether a field is one of Kong's that says nothing with this value: it may be left out. */
export function saysNothing(kind: EntityKind, field: string, value: unknown): boolean {
  const rule = ruleOf(kind, field)
  if (rule === undefined) return false
  return rule === 'any' || isEmpty(value) || rule.some((harmless) => harmless === value)
}

function isEmpty(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return value === null || value === undefined
  return Object.keys(value).length === 0
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
