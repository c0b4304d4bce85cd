import type { Body } from '../entities/body.js'
import type { EntityKind } from '../entities/entities.js'
import { saysNothing } from '../entities/kong-fields.js'

/** Why a record as a whole is nothing here, and the field that says so. */
export interface Refusal {
  readonly field: string
  readonly reason: string
}

/** Protocols of Kong's that are not HTTP, or that nothing here speaks to upstreams. */
const OTHER_PROTOCOLS: ReadonlySet<unknown> = new Set([
  'tcp',
  'tls',
  'tls_passthrough',
  'udp',
  'grpc',
  'grpcs',
  'ws',
  'wss',
])
const NOT_HTTP: ReadonlySet<unknown> = new Set(['tcp', 'tls', 'tls_passthrough', 'udp'])

/** Looks at what makes a record of Kong's one that cannot be taken, not even without a field. */
export function refusalOf(kind: EntityKind, record: Body): Refusal | null {
  if (kind === 'plugins') return pluginRefusal(record)
  const { protocol, protocols } = record
  if (kind === 'services' && OTHER_PROTOCOLS.has(protocol)) {
    return { field: 'protocol', reason: `services of ${String(protocol)} are not taken: expected one of: http, https` }
  }
  if (kind === 'routes' && Array.isArray(protocols) && protocols.some((each) => NOT_HTTP.has(each))) {
    return { field: 'protocols', reason: 'routes beside HTTP are not taken' }
  }
  return null
}

function pluginRefusal({ name, consumer_group: group, condition }: Body): Refusal | null {
  if (typeof name === 'string' && name !== 'canary') {
    const text = name.slice(0, 200)
    return { field: 'name', reason: `plugin '${text}' not enabled; add it to the 'plugins' configuration property` }
  }
  // Without its group or condition it would be a canary for everyone.
  if (!saysNothing('plugins', 'consumer_group', group)) {
    return { field: 'consumer_group', reason: 'canaries on consumer groups are not taken' }
  }
  if (!saysNothing('plugins', 'condition', condition)) {
    return { field: 'condition', reason: 'canaries with a condition are not taken' }
  }
  return null
}
