import { CanaryError } from '../../errors.js'
import type { Plugin } from '../entities/entities.js'
import { finalParts, partsOf, urlOf } from '../entities/location.js'
import { type Row, isOf } from '../records/rows.js'
import type { Tables } from '../records/tables.js'

function impossible(why: string): CanaryError {
  return new CanaryError('ERR_CANARY_STATE', `cannot finalize the release: ${why}`)
}

/**
 * The service or api whose location a plugin's release moves.
 *
 * @throws {CanaryError} ERR_CANARY_STATE where it is not one, or moving it would move others' requests
 */
export function locationRow(tables: Tables, plugin: Plugin): Row<'services'> | Row<'apis'> {
  if (plugin.consumer !== null) {
    throw impossible("it is on one consumer, and its service's location is everyone's: update the service instead")
  }
  if (plugin.api !== null) return found(tables.get('apis', plugin.api.id))
  const route = plugin.route === null ? null : tables.get('routes', plugin.route.id)
  const service = plugin.service ?? route?.entity.service ?? null
  if (service === null) throw impossible('it is on no single service: update the services instead')
  if (route !== null && tables.referrers('services', service.id, 'routes').length > 1) {
    throw impossible(
      "it is on one route, and its service's location is that of other routes too: update the service instead",
    )
  }
  return found(tables.get('services', service.id))
}

function found<Found>(row: Found | null): Found {
  if (row === null) throw impossible('its service is gone')
  return row
}

/** The fields of the service or api that puts A where B is. */
export function finalFields(row: Row<'services'> | Row<'apis'>, { config }: Plugin): Readonly<Record<string, unknown>> {
  if (isOf(row, 'services')) return { ...finalParts(row.entity, config) }
  const parts = partsOf(row.entity.upstream_url)
  if (typeof parts === 'string') throw impossible(parts)
  return { upstream_url: urlOf(finalParts(parts, config)) }
}
