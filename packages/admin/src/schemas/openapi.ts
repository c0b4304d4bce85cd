import type { JsonSchema } from './json-schema.js'
import type { Operation, QueryParameter } from '../operation.js'
import { VERSION } from '../routes/registry-routes.js'
import { SCHEMAS, type SchemaName } from './schemas.js'

/** Errors that any operation may answer with, and those of bodies. */
const ALWAYS = [400, 401, 403, 429, 500, 503]
const OF_BODIES = [408, 413, 415]

/** What each error status means. */
const MEANINGS: Readonly<Record<number, string>> = {
  400: 'The request is no valid one.',
  401: 'The token is missing or wrong.',
  403: 'Not from here: a foreign Host or Origin, or no token and not loopback.',
  404: 'There is no such record.',
  405: 'The path has no such method.',
  408: 'The body did not arrive in time.',
  409: 'Another record has the same key, or the move is not legal now.',
  412: 'The record is not the one that If-Match names.',
  413: 'The body is larger than 1 MB.',
  415: 'The body is neither JSON nor a form.',
  429: 'Too many wrong tokens from this address: Retry-After says for how long they are not taken.',
  500: 'Something unexpected, which was logged.',
  503: 'The store failed. With `Retry-After` nothing has changed; with `commit` the change may have been made, and the audit trail has that id if it was.',
}

/** The OpenAPI 3.1 document of the operations. */
export function openApiDocument(operations: readonly Operation[]): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const operation of operations) {
    const item = (paths[operation.path] ??= {})
    item[operation.method.toLowerCase()] = described(operation)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'canary-release Admin API',
      version: VERSION,
      description: "Canary releases as records, in the shape of Kong's Admin API.",
    },
    // Beside this document, wherever it is mounted.
    servers: [{ url: '.' }],
    security: [{ bearer: [] }, { kongAdminToken: [] }, {}],
    paths,
    components: {
      schemas: SCHEMAS,
      responses: { NotFound: errorAnswer(404), MethodNotAllowed: errorAnswer(405) },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        kongAdminToken: { type: 'apiKey', in: 'header', name: 'Kong-Admin-Token' },
      },
    },
  }
}

function described({ id, path, method, summary, query = {}, body, answer, errors }: Operation): object {
  const statuses = new Set([...ALWAYS, ...errors, ...(body === undefined ? [] : OF_BODIES)])
  const failures = [...statuses].toSorted((a, b) => a - b).map((status) => [status, errorAnswer(status)])
  return {
    operationId: id,
    summary,
    parameters: [
      ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => pathParameter(name ?? '')),
      ...Object.entries(query).map(([name, parameter]) => queryParameter(name, parameter)),
      ...(errors.includes(412) ? CONDITIONS.slice(0, method === 'PUT' ? 2 : 1) : []),
    ],
    ...(body === undefined
      ? {}
      : { requestBody: requestBody(body, (method === 'POST' && body === 'Move') || body === 'Restart') }),
    responses: {
      [answer.status]: success(answer),
      ...(answer.creates ? { 201: success({ ...answer, status: 201 }) } : {}),
      ...Object.fromEntries(failures),
    },
  }
}

const TEXT: JsonSchema = { type: 'string' }

function pathParameter(name: string): object {
  const description = `The id or name of the ${name}.`
  return { name, in: 'path', required: true, description, schema: TEXT }
}

function queryParameter(name: string, { description, schema, style }: QueryParameter): object {
  if (style === undefined) return { name, in: 'query', description, schema }
  if (style === 'repeated') return { name, in: 'query', description, schema: { type: 'array', items: schema } }
  // An exploded object: its names stand in the query as they are.
  const names = {
    type: 'object',
    additionalProperties: schema,
    propertyNames: { pattern: `^${name.replace('.', '\\.')}` },
  }
  return { name, in: 'query', description, style: 'form', explode: true, schema: names }
}

const CONDITIONS = [
  { name: 'If-Match', in: 'header', description: 'The ETag of the record that is to be changed.', schema: TEXT },
  { name: 'If-None-Match', in: 'header', description: '`*`: only where there is none.', schema: TEXT },
] as const

function requestBody(name: SchemaName, optional: boolean): object {
  const content = { schema: refTo(name) }
  return {
    required: !optional,
    content: {
      'application/json': content,
      'application/x-www-form-urlencoded': content,
      'multipart/form-data': content,
    },
  }
}

function success({ status, schema }: Operation['answer']): object {
  if (schema === null) return { description: 'Done: nothing is there.' }
  const etag = { description: 'Differs after each change of the record.', schema: TEXT }
  const one = status === 201 || !(schema.endsWith('Page') || UNTAGGED.has(schema))
  return { description: 'Done.', ...(one ? { headers: { ETag: etag } } : {}), ...jsonContent(schema) }
}

const UNTAGGED: ReadonlySet<SchemaName> = new Set([
  'SyncReport',
  'Explanation',
  'Guard',
  'Audit',
  'Members',
  'Information',
  'Document',
  'Status',
  'Position',
  'EnabledPlugins',
  'KongSchema',
  'Valid',
])

function errorAnswer(status: number): object {
  return { description: MEANINGS[status] ?? 'An error.', ...jsonContent('Error') }
}

function jsonContent(name: SchemaName): object {
  return { content: { 'application/json': { schema: refTo(name) } } }
}

function refTo(name: SchemaName): JsonSchema {
  return { $ref: `#/components/schemas/${name}` }
}
