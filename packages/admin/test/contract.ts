import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { z } from 'zod'
import { expect } from 'vitest'

/** An exchange with the Admin API, as it went over the socket. */
export interface Exchange {
  readonly method: string
  /** With the query. */
  readonly path: string
  /** The JSON that was sent; `undefined` for forms and no body. */
  readonly sent: unknown
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** The JSON that came; `null` for nothing. */
  readonly body: unknown
}

const content = z.object({ 'application/json': z.object({ schema: z.object({ $ref: z.string() }) }) })
const response = z.object({
  description: z.string(),
  content: content.optional(),
  headers: z.looseObject({}).optional(),
})
const operation = z.object({
  operationId: z.string(),
  requestBody: z.object({ content }).optional(),
  responses: z.record(z.string(), response),
})
const documentSchema = z.looseObject({
  paths: z.record(z.string(), z.record(z.string(), operation)),
  components: z.looseObject({ responses: z.object({ NotFound: response, MethodNotAllowed: response }) }),
})

/** What a refusal before any operation may answer with. */
const GATE = [400, 401, 403, 429]

/** Checks exchanges against an OpenAPI document: nothing is answered that it does not say. */
export function createContract(document: unknown): (exchange: Exchange) => void {
  const { paths, components } = documentSchema.parse(document)
  const ajv = new Ajv2020({ strictTypes: false, strictRequired: false, validateSchema: false, allErrors: true })
  // Its types are those of a CommonJS module.
  Reflect.apply(formats.default, null, [ajv])
  const schema = z.looseObject({}).parse(document)
  ajv.addVocabulary(Object.keys(schema)).addSchema(schema, 'openapi')
  const templates = Object.entries(paths).map(([template, operations]) => ({
    pattern: new RegExp(`^${template === '/' ? '' : template.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}/?$`),
    operations,
  }))

  const fits = ({ schema }: z.output<typeof content>['application/json'], value: unknown, what: string) => {
    // By its name it is compiled once.
    const validate = ajv.getSchema(`openapi${schema.$ref}`)
    expect(validate, `${what}: ${schema.$ref}`).toBeDefined()
    const valid = validate?.(value)
    expect(valid ? [] : validate?.errors, `${what}: ${JSON.stringify(value)}`).toEqual([])
  }

  return ({ method, path, sent, status, headers, body }) => {
    const what = `${method} ${path} ${status}`
    expect(headers, what).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    const pathname = path.split('?')[0] || '/'
    const operations = templates.find(({ pattern }) => pattern.test(pathname))?.operations
    const found = operations?.[method.toLowerCase() === 'head' ? 'get' : method.toLowerCase()]
    if (found === undefined) {
      if (method === 'OPTIONS' && operations !== undefined && !GATE.includes(status)) return expect(status).toBe(204)
      const missing = operations === undefined ? 404 : 405
      expect([...GATE, missing], what).toContain(status)
      const { NotFound, MethodNotAllowed } = components.responses
      const said = (missing === 404 ? NotFound : MethodNotAllowed).content
      return said === undefined ? expect(body).toBeNull() : fits(said['application/json'], body, what)
    }
    const said = found.responses[String(status)]
    if (said === undefined) return expect.fail(`${what} is not in the document: ${JSON.stringify(body)}`)
    if (said.content === undefined || method === 'HEAD') expect(body, what).toBeNull()
    else {
      expect(headers['content-type'], what).toBe('application/json')
      fits(said.content['application/json'], body, what)
    }
    if (said.headers !== undefined) expect(headers.etag, what).toMatch(/^"\d+"$/)
    if (status < 300 && sent !== undefined && found.requestBody !== undefined) {
      fits(found.requestBody.content['application/json'], sent, `${what} took`)
    }
  }
}
