import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { aRegistry, fill } from '../../core/test/registry/bodies.js'
import { type Sent, openAdmin, recordOf } from './client.js'

const PATHS = {
  services: '/services',
  routes: '/routes',
  consumers: '/consumers',
  apis: '/apis',
  keyauth_credentials: '/consumers/alice/key-auth',
  acls: '/consumers/alice/acls',
  plugins: '/plugins',
} as const

/** The fields of a form: what is null is left out, as `curl --data` has no way to say it. */
function formOf(value: unknown, name = ''): string[] {
  if (value === null) return []
  if (Array.isArray(value)) return value.length === 0 ? [`${name}[]=`] : value.map((item) => `${name}[]=${item}`)
  if (typeof value !== 'object') return [`${name}=${value}`]
  return Object.entries(value as object).flatMap(([key, inner]) => formOf(inner, name === '' ? key : `${name}.${key}`))
}

const WAYS: [method: string, format: string, encode: (record: object) => Sent][] = [
  ['PUT', 'JSON', (json) => ({ json })],
  ['PATCH', 'JSON', (json) => ({ json })],
  ['PUT', 'a form', (record) => ({ form: formOf(record) })],
  ['PATCH', 'a form', (record) => ({ form: formOf(record) })],
]

test.each(WAYS)('%s of a record as it was read, in %s, changes nothing at all', async (method, _, encode) => {
  let written = 0
  await fc.assert(
    fc.asyncProperty(aRegistry, async (records) => {
      let seconds = 1_800_000_000
      await using admin = await openAdmin({ clock: () => seconds * 1000 })
      const { registry, call } = admin
      const ids = await registry.change('test', (draft) => fill(draft, records))
      for (const [index, id] of ids.entries()) {
        for (const move of records.plugins[index]?.moves ?? []) {
          seconds += records.plugins[index]?.wait ?? 0
          await call('POST', `/canaries/${id}/${move}`, { json: { reason: 'why' } })
        }
      }
      seconds += 100
      const before = registry.snapshot()
      for (const { kind, entity } of before.rows) {
        const path = `${PATHS[kind]}/${entity.id}`
        const read = await call('GET', path)
        const answer = await call(method, path, encode(recordOf(read)))
        expect(answer).toMatchObject({ status: 200, body: read.body, headers: { etag: read.headers.etag } })
        expect(answer.body).toEqual(read.body)
        written += 1
      }
      expect(registry.snapshot()).toEqual(before)
    }),
    { seed: 62, numRuns: 12 },
  )
  expect(written).toBeGreaterThan(70)
})
