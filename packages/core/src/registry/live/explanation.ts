import type { Explanation } from '../../decision/explain.js'
import { DescribedFacts, type RequestDescription } from '../../decision/facts.js'
import type { LiveRelease } from './live-release.js'
import { locationOf } from '../entities/location.js'
import type { RegistryState } from './registry-state.js'

/** Explains a request at a live release, for a caller as the registry knows it. */
export function explainAt(state: RegistryState, live: LiveRelease, request: RequestDescription): Explanation {
  const caller = typeof request.consumer === 'number' ? String(request.consumer) : request.consumer
  const known = typeof caller === 'string' && caller !== '' ? state.consumers.find(caller) : null
  const facts = new DescribedFacts(known === null ? request : { ...request, consumer: known.id, groups: known.groups })
  const at = placeOf(state, live)
  return at === null ? live.release.explainBy(facts) : live.release.explainBy(facts, at.plan)
}

/** The one place of a release; `null` on a consumer and everywhere, where it has as many as there are locations. */
function placeOf({ tables }: RegistryState, live: LiveRelease) {
  const { service, route, api } = live.row.entity
  const serviceId = service?.id ?? (route === null ? undefined : tables.get('routes', route.id)?.entity.service?.id)
  const row =
    api !== null ? tables.get('apis', api.id) : serviceId === undefined ? null : tables.get('services', serviceId)
  return row === null ? null : live.at(locationOf(row.entity))
}
