import { type FormField, MAX_FIELDS, decodeForm, fieldsOf } from './form-body.js'
import type { JsonSchema } from '../schemas/json-schema.js'
import { boundaryOf, multipartFields } from './multipart-body.js'
import type { NodeRequest } from '../node-request.js'
import { badForm, badJson, tooManyFields, tooManyValues, unsupportedMediaType } from '../refusal.js'
import { type TakenBody, takeBody } from './taken-body.js'

export type RequestBody = Record<string, unknown>

const MAX_DEPTH = 32
/** Far more than any record has: what checks them costs more than what reads them. */
const MAX_VALUES = 10_000

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
  if (format === 'json') return jsonOf(taken)
  if (format === 'form' || !('bytes' in taken)) return decodeForm(formOf(taken), schema)
  return decodeForm(await multipartFields(taken.bytes, contentType ?? ''), schema)
}

function formatOf(contentType: string | undefined): 'json' | 'form' | 'multipart' | null {
  const [essence = '', ...parameters] = (contentType ?? '').toLowerCase().split(';')
  const charset = parameters.map((parameter) => /^\s*charset="?([^"\s]*)"?\s*$/.exec(parameter)?.[1]).find(Boolean)
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') return null
  if (essence.trim() === 'application/json') return 'json'
  if (essence.trim() === 'multipart/form-data') return boundaryOf(contentType ?? '') === null ? null : 'multipart'
  return essence.trim() === 'application/x-www-form-urlencoded' ? 'form' : null
}

function jsonOf(taken: TakenBody): RequestBody {
  const value = 'parsed' in taken ? taken.parsed : parse(taken.bytes)
  if (!isRecord(value)) throw badJson()
  checkExtent(value)
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
  if ('bytes' in taken) {
    const text = taken.bytes.toString()
    if (hasMore(text, '&', MAX_FIELDS)) throw tooManyFields()
    return new URLSearchParams(text)
  }
  if (!isRecord(taken.parsed)) throw badForm()
  return fieldsOf(taken.parsed)
}

function isRecord(value: unknown): value is RequestBody {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether a text has more parts than that, before it is taken apart. */
function hasMore(text: string, separator: string, limit: number): boolean {
  let count = 1
  for (let at = text.indexOf(separator); at !== -1; at = text.indexOf(separator, at + 1)) {
    count += 1
    if (count > limit) return true
  }
  return false
}

/**
 * Looks level by level, as a recursion would need the stack that it is to protect.
 *
 * @throws {Refusal} 400
 */
function checkExtent(value: object): void {
  let level: object[] = [value]
  let count = 0
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_DEPTH) throw badJson()
    const inner: object[] = []
    for (const at of level) {
      const values: readonly unknown[] = Object.values(at)
      count += values.length
      if (count > MAX_VALUES) throw tooManyValues()
      for (const each of values) if (typeof each === 'object' && each !== null) inner.push(each)
    }
    level = inner
  }
}
