import { epochSecondsOf, secondsOf } from '../../release/duration.js'
import type { RestartShare } from '../../release/restart.js'
import { type Body, isBody } from '../entities/body.js'
import type { Plugin } from '../entities/entities.js'
import { schemaViolation } from '../entities/violation.js'

/** The fields of a plugin with its omitted `start` fixed, where there is no percentage that wins over it. */
export function withStart(fields: Body, present: Plugin | null, now: number): Body {
  const config = isBody(fields.config) ? fields.config : {}
  if (fields.config !== undefined && !isBody(fields.config)) return fields
  if (isSaid(config.percentage) || isSaid(config.start)) return fields
  return { ...fields, config: { ...config, start: present?.config.start ?? Math.floor(now) } }
}

function isSaid<Value>(value: Value | null | undefined): value is Value {
  return value !== undefined && value !== null
}

/** Whether fields say a start; the one that is there, or none at all, is no other one. */
export function saysStart({ config }: Body): boolean {
  return isBody(config) && isSaid(config.start)
}

/**
 * What a restart says, as a plugin's config has it.
 *
 * @throws {ViolationError} where it says both a percentage and a start
 */
export function configOf({ percentage, start, duration, ...others }: RestartShare): Body {
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw schemaViolation({ [unknown.slice(0, 200)]: 'unknown field' })
  if (isSaid(percentage) && isSaid(start)) {
    throw schemaViolation({ '@entity': ["only one or none of these fields must be set: 'percentage', 'start'"] })
  }
  return {
    ...(isSaid(percentage) ? { percentage } : {}),
    ...(isSaid(start)
      ? { start: start instanceof Date || typeof start === 'string' ? epochSecondsOf(start) : start, percentage: null }
      : {}),
    ...(isSaid(duration) ? { duration: typeof duration === 'string' ? secondsOf(duration) : duration } : {}),
  }
}
