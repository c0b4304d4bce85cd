import { Validator } from '@seriousme/openapi-schema-validator'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { openAdmin, send } from './client.js'

const document = z.looseObject({
  openapi: z.string(),
  paths: z.record(z.string(), z.record(z.string(), z.looseObject({ operationId: z.string() }))),
})

describe('/openapi.json', () => {
  test('is a valid OpenAPI 3.1 document', async () => {
    await using admin = await openAdmin()
    const { body } = await admin.call('GET', '/openapi.json')
    const validator = new Validator()
    expect(await validator.validate(z.looseObject({}).parse(body))).toMatchObject({ valid: true })
    expect(validator.version).toBe('3.1')
  })

  test('names each operation once, and describes all that the issue of Kong and canaries needs', async () => {
    await using admin = await openAdmin()
    const { paths } = document.parse((await admin.call('GET', '/openapi.json')).body)
    const ids = Object.values(paths).flatMap((item) => Object.values(item).map(({ operationId }) => operationId))
    expect(new Set(ids).size).toBe(ids.length)
    for (const list of ['/services', '/routes', '/consumers', '/apis', '/plugins']) {
      expect(Object.keys(paths[list] ?? {}).sort()).toEqual(list === '/apis' ? ['get', 'post', 'put'] : ['get', 'post'])
      const record = Object.keys(paths).find((path) => new RegExp(`^${list}/\\{\\w+\\}$`).test(path))
      expect(Object.keys(paths[record ?? ''] ?? {}).sort()).toEqual(['delete', 'get', 'patch', 'put'])
    }
    for (const path of ['/canaries/{plugin}/explain', '/canaries/{plugin}/finalize', '/audit', '/openapi.json']) {
      expect(paths).toHaveProperty([path])
    }
  })

  test('has each of its paths answered by something else than 404 for the path', async () => {
    await using admin = await openAdmin()
    const { paths } = document.parse((await admin.call('GET', '/openapi.json')).body)
    for (const [path, item] of Object.entries(paths)) {
      const { headers, status } = await admin.call('OPTIONS', path.replace(/\{\w+\}/g, 'x'))
      const allowed = new Set((headers.allow ?? '').toLowerCase().split(', '))
      expect([path, status, Object.keys(item).every((method) => allowed.has(method))]).toEqual([path, 204, true])
    }
  })

  test('holds a record to the schema that checked it: nothing is left open', async () => {
    await using admin = await openAdmin()
    const { body } = await admin.call('GET', '/openapi.json')
    const { components } = z
      .object({ components: z.object({ schemas: z.record(z.string(), z.looseObject({})) }) })
      .parse(body)
    for (const name of ['Service', 'Route', 'Consumer', 'Api', 'Plugin', 'KeyauthCredential', 'Acl', 'Canary']) {
      const schema = z
        .object({ additionalProperties: z.literal(false), properties: z.record(z.string(), z.looseObject({})) })
        .parse(components.schemas[name])
      for (const [field, property] of Object.entries(schema.properties)) {
        const said = ['type', 'anyOf', 'const', 'enum', '$ref'].some((keyword) => keyword in property)
        expect([name, field, said]).toEqual([name, field, true])
      }
    }
  })

  test('is sent only to who may see the rest', async () => {
    await using admin = await openAdmin({ token: 'a-secret-of-sixteen-or-more' })
    expect(await send(admin.url, 'GET', '/openapi.json')).toMatchObject({ status: 401 })
  })
})
