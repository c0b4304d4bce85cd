import { type Body, isBody } from '../entities/body.js'
import type { Plugin } from '../entities/entities.js'

/** The fields of a plugin with its omitted `start` fixed, where there is no percentage that wins over it. */
export function withStart(fields: Body, present: Plugin | null, now: number): Body {
  const config = isBody(fields.config) ? fields.config : {}
  if (fields.config !== undefined && !isBody(fields.config)) return fields
  if (isSaid(config.percentage) || isSaid(config.start)) return fields
  return { ...fields, config: { ...config, start: present?.config.start ?? Math.floor(now) } }
}

function isSaid(value: unknown): boolean {
  return value !== undefined && value !== null
}

/** Whether a body restarts a release that was rolled back or promoted: where it says `percentage` or `start`. */
export function restarts(body: Body): boolean {
  return isBody(body.config) && (body.config.percentage !== undefined || body.config.start !== undefined)
}
