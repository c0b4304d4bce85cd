import type { Upstream } from '../upstream.js'
import { durationMsOf } from './duration.js'
import type { Difference, Share } from './edit.js'
import type { GivenOptions, ReleaseSettings } from './settings.js'
import { isParts } from './upstream-options.js'

/** Options as they were given, and compiled. */
export interface Said {
  readonly input: GivenOptions
  readonly settings: ReleaseSettings
}

/** In what options differ from those before, as far as a release may begin again by it. */
export function differenceOf(before: Said, after: Said): Difference {
  const { percentage, start } = after.settings
  return {
    percentage: before.settings.percentage !== percentage,
    start: start !== null && before.settings.start !== start,
    location: !isSameB(before, after),
  }
}

/** What says how large a release's share is. */
export function shareOfSettings({ percentage, start, duration, steps, enabled }: ReleaseSettings): Share {
  return { percentage, start, durationMs: durationMsOf(duration), steps, enabled }
}

/** Parts are compared as they were said: where A moves, B was not said to be another one. */
function isSameB(before: Said, after: Said): boolean {
  const [was, is] = [before.input.upstreams?.B, after.input.upstreams?.B]
  if (was !== undefined && is !== undefined && isParts(was) && isParts(is))
    return was.host === is.host && was.port === is.port && was.uri === is.uri
  return locationOf(before.settings.upstreams?.B) === locationOf(after.settings.upstreams?.B)
}

/** A handler is where it is. */
function locationOf(upstream: Upstream | undefined): unknown {
  if (upstream === undefined) return null
  if (upstream.kind === 'handler') return upstream.handler
  const { origin, basePath, fixedPath, socketPath } = upstream
  return JSON.stringify([origin, basePath, fixedPath, socketPath])
}
