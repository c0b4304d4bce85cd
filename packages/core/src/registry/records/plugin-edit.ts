import { type Difference, type Edited, type Share, edited } from '../../release/edit.js'
import { durationMsOf } from '../../release/duration.js'
import { type ReleaseRecord, isByGuard } from '../../release/lifecycle.js'
import type { Plugin } from '../entities/entities.js'
import { lifeStateOf } from './record-release.js'
import type { RowContent } from './rows.js'

/** What says how large the share of a plugin's release is. */
export function shareOfPlugin({ config, enabled }: Plugin): Share {
  const { percentage, start, duration, steps } = config
  return { percentage, start, durationMs: durationMsOf(duration), steps, enabled }
}

/** A plugin's release after an edit. */
export interface EditedPlugin extends Edited {
  /** Whether another run begins: with the release, or with another A or B, of which nothing was seen yet. */
  readonly newRun: boolean
}

/** What an edit of a plugin makes of its release. `saysStart`: false where its start is only the one that was there. */
export function editedPlugin(
  record: ReleaseRecord,
  before: Plugin,
  after: Plugin,
  saysStart: boolean,
  nowMs: number,
): EditedPlugin {
  const present = { record, state: lifeStateOf(before, record, nowMs) }
  const differs = differenceOf(before, after, saysStart)
  const result = edited(present, shareOfPlugin(before), shareOfPlugin(after), differs, nowMs)
  return { ...result, newRun: result.begins || differs.location || !isSamePlace(before, after) }
}

/** Whether a plugin is on the same service, route or api as before: else A is another place. */
function isSamePlace(before: Plugin, after: Plugin): boolean {
  const placeOf = ({ service, route, api }: Plugin) => [service?.id, route?.id, api?.id].join()
  return placeOf(before) === placeOf(after)
}

/** Field against field, as they are stored. */
function differenceOf({ config: was }: Plugin, { config: is }: Plugin, saysStart: boolean): Difference {
  return {
    percentage: was.percentage !== is.percentage,
    start: saysStart && is.start !== null && was.start !== is.start,
    location:
      was.upstream_host !== is.upstream_host ||
      was.upstream_port !== is.upstream_port ||
      was.upstream_uri !== is.upstream_uri,
  }
}

/**
 * What is to be said of an edit that stored another percentage and left the release as the guard's rollback left it;
 * `null` where it did anything else.
 */
export function stillRolledBack(before: RowContent | null, after: RowContent): string | null {
  if (before === null || !('config' in before.entity) || !('config' in after.entity)) return null
  if (after.release === null || !isByGuard(after.release)) return null
  if (before.entity.config.percentage === after.entity.config.percentage) return null
  return `still rolled back by the guard: POST /canaries/${after.entity.id}/restart`
}
