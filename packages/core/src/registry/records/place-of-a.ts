import { type Row, isOf } from './rows.js'
import type { Tables } from './tables.js'

const LOCATION_FIELDS = ['protocol', 'host', 'port', 'path', 'upstream_url', 'service'] as const

/** Whether requests that went to a service, route or api go elsewhere now. */
export function hasMoved(before: Row, after: Row): boolean {
  if (after.kind === 'plugins') return false
  return LOCATION_FIELDS.some((field) => {
    const [was, is]: unknown[] = [Reflect.get(before.entity, field), Reflect.get(after.entity, field)]
    return was !== is && JSON.stringify(was) !== JSON.stringify(is)
  })
}

/** The plugins whose A such a row says; on consumers and everywhere, A was never one place. */
export function pluginsAt(tables: Tables, row: Row): Row<'plugins'>[] {
  const { kind, entity } = row
  const routes = kind === 'services' ? tables.referrers(kind, entity.id, 'routes') : []
  const plugins = [row, ...routes].flatMap((at) => tables.referrers(at.kind, at.entity.id, 'plugins'))
  return [...new Set(plugins)]
    .filter((plugin) => isOf(plugin, 'plugins'))
    .filter(({ entity: on }) => on.consumer === null)
}
