import { type FormField, decodeForm, fieldsOf } from './form-body.js'
import type { JsonSchema } from '../schemas/json-schema.js'
import type { NodeRequest } from '../node-request.js'
import { badForm, badJson, unsupportedMediaType } from '../refusal.js'
import { type TakenBody, takeBody } from './taken-body.js'

export type RequestBody = Record<string, unknown>

const MAX_DEPTH = 32

/**
 * The record in a request's body: JSON, whose values are taken as they are, or a form. No body at all is an empty
 * record.
 *
 * @throws {Refusal} 400, 408, 413, 415
 */
export async function readRequestBody(
  request: NodeRequest,
  schema: JsonSchema | undefined,
  timeoutMs: number,
): Promise<RequestBody> {
  const { 'content-type': contentType, 'content-encoding': encoding = 'identity' } = request.headers
  const format = formatOf(contentType)
  // A parser of the host has undone the encoding; here none is undone.
  if (encoding !== 'identity' && !request.readableDidRead) throw unsupportedMediaType()
  const taken = await takeBody(request, timeoutMs)
  if (format === null) {
    if (contentType === undefined && 'bytes' in taken && taken.bytes.length === 0) return {}
    throw unsupportedMediaType()
  }
  return format === 'json' ? jsonOf(taken) : decodeForm(formOf(taken), schema)
}

function formatOf(contentType: string | undefined): 'json' | 'form' | null {
  const [essence = '', ...parameters] = (contentType ?? '').toLowerCase().split(';')
  const charset = parameters.map((parameter) => /^\s*charset="?([^"\s]*)"?\s*$/.exec(parameter)?.[1]).find(Boolean)
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') return null
  if (essence.trim() === 'application/json') return 'json'
  return essence.trim() === 'application/x-www-form-urlencoded' ? 'form' : null
}

function jsonOf(taken: TakenBody): RequestBody {
  const value = 'parsed' in taken ? taken.parsed : parse(taken.bytes)
  if (!isRecord(value) || isTooDeep(value)) throw badJson()
  return value
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw badJson()
  }
}

function formOf(taken: TakenBody): Iterable<FormField> {
  if ('bytes' in taken) return new URLSearchParams(taken.bytes.toString())
  if (!isRecord(taken.parsed)) throw badForm()
  return fieldsOf(taken.parsed)
}

function isRecord(value: unknown): value is RequestBody {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Looks level by level, as a recursion would need the stack that it is to protect. */
function isTooDeep(value: object): boolean {
  let level: object[] = [value]
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_DEPTH) return true
    level = level.flatMap((at) => Object.values(at)).filter((inner) => typeof inner === 'object' && inner !== null)
  }
  return false
}
