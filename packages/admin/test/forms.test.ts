import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openAdmin } from './client.js'

const CANARY = ['name=canary', 'config.upstream_host=v2']

/** The plugin or error that a form makes. */
async function made(form: readonly string[], path = '/plugins') {
  await using admin = await openAdmin()
  return (await admin.call('POST', path, { form })).body
}

describe('a form', () => {
  test('nests by dots and makes lists by brackets, in the order of their numbers', async () => {
    const numbered = ['config.groups[2]=b', 'config.groups[10]=c', 'config.groups[1]=a', 'tags[]=x', 'tags[]=y']
    expect(await made([...CANARY, ...numbered])).toMatchObject({
      config: { groups: ['a', 'b', 'c'] },
      tags: ['x', 'y'],
    })
  })

  test('takes a plain value for a list, its parts apart by commas, and a repeated name', async () => {
    expect(await made([...CANARY, 'config.groups=vip, beta', 'tags=one'])).toMatchObject({
      config: { groups: ['vip', 'beta'] },
      tags: ['one'],
    })
    expect(await made([...CANARY, 'tags=one,two', 'tags=three'])).toMatchObject({ tags: ['one,two', 'three'] })
    expect(await made([...CANARY, 'tags[]=one,two'])).toMatchObject({ tags: ['one,two'] })
  })

  test('infers numbers and booleans where the field is one, and nowhere else', async () => {
    const typed = ['config.percentage=12.5', 'config.steps=1e3', 'enabled=false', 'instance_name=42', 'tags[]=7']
    expect(await made([...CANARY, ...typed])).toMatchObject({
      config: { percentage: 12.5, steps: 1000 },
      enabled: false,
      instance_name: '42',
      tags: ['7'],
    })
    expect(await made(['username=true', 'custom_id=17'], '/consumers')).toMatchObject({
      username: 'true',
      custom_id: '17',
    })
    expect(await made([...CANARY, 'config.percentage=0x10', 'enabled=yes', 'config.steps= '])).toMatchObject({
      fields: {
        config: { percentage: 'expected a number', steps: 'expected an integer' },
        enabled: 'expected a boolean',
      },
    })
  })

  test('takes an empty string for null, and an empty list for one', async () => {
    expect(await made([...CANARY, 'config.percentage=', 'config.hash=', 'instance_name=', 'tags='])).toMatchObject({
      config: { percentage: null, hash: 'consumer' },
      instance_name: null,
      tags: null,
    })
    expect(await made([...CANARY, 'tags[]='])).toMatchObject({ tags: [] })
  })

  test('reads maps', async () => {
    const form = ['name=r', 'paths[]=/a', 'methods=GET,POST', 'headers.x-region[]=eu', 'headers.x-tier=gold']
    expect(await made(form, '/routes')).toMatchObject({
      paths: ['/a'],
      methods: ['GET', 'POST'],
      headers: { 'x-region': ['eu'], 'x-tier': ['gold'] },
    })
  })

  test('keeps characters as they were sent', async () => {
    expect(await made(['username=a+b & c=ü%41'], '/consumers')).toMatchObject({ username: 'a+b & c=ü%41' })
  })

  test('refuses names of prototypes as unknown fields, and changes no prototype', async () => {
    const body = await made([
      ...CANARY,
      '__proto__.polluted=1',
      'constructor.prototype.polluted=1',
      'config.__proto__=x',
    ])
    expect(body).toMatchObject({ code: 2, name: 'schema violation' })
    expect(JSON.stringify(body)).toMatch(/__proto__":"unknown field/)
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  })

  test('refuses names without end, in little time', async () => {
    await using admin = await openAdmin()
    for (const name of ['a.'.repeat(1000), '.'.repeat(500_000)]) {
      const { status, body } = await admin.call('POST', '/plugins', { form: [`${name}=1`] })
      expect([status, body]).toEqual([400, { message: 'Cannot parse form body' }])
    }
    const text = Array.from({ length: 100_000 }, (_, i) => `a[${i}]=1`).join('&')
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    expect(await admin.call('POST', '/plugins', { text: text.slice(0, 1_000_000), headers })).toMatchObject({
      status: 400,
    })
  })

  test('answers any bytes with a status of the document', async () => {
    await using admin = await openAdmin()
    const types = ['application/json', 'application/x-www-form-urlencoded', 'application/json; charset=utf-8']
    const name = fc.stringMatching(/^[a-z_.[\]0-9]{1,20}$/)
    const pairs = fc.array(fc.tuple(name, fc.string()), { maxLength: 6 })
    const form = pairs.map((all) => all.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join('&'))
    const text = fc.oneof(fc.string(), fc.json(), form)
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...types), text, async (type, sent) => {
        const { status } = await admin.call('POST', '/services', { text: sent, headers: { 'content-type': type } })
        expect([201, 400, 409]).toContain(status)
      }),
      { seed: 71, numRuns: 300 },
    )
  })
})

describe('JSON', () => {
  test('is not coerced', async () => {
    await using admin = await openAdmin()
    const config = { upstream_host: 'v2', percentage: '10', groups: 'vip' }
    expect(await admin.call('POST', '/plugins', { json: { name: 'canary', config, enabled: 'true' } })).toMatchObject({
      status: 400,
      body: {
        fields: {
          config: { percentage: 'expected a number', groups: 'expected an array' },
          enabled: 'expected a boolean',
        },
      },
    })
  })

  test('refuses __proto__ as an unknown field, and changes no prototype', async () => {
    await using admin = await openAdmin()
    const headers = { 'content-type': 'application/json' }
    const bodies = [
      '{"name":"canary","config":{"upstream_host":"v2"},"__proto__":{"polluted":1}}',
      '{"name":"canary","config":{"upstream_host":"v2","__proto__":{"polluted":1}}}',
      '{"name":"canary","config":{"upstream_host":"v2"},"constructor":{"prototype":{"polluted":1}}}',
    ]
    for (const text of bodies) {
      const { status, body } = await admin.call('POST', '/plugins', { text, headers })
      expect([status, JSON.stringify(body)]).toEqual([400, expect.stringContaining('unknown field')])
    }
    const { status } = await admin.call('POST', '/canaries/x/rollback', { text: '{"__proto__":{"a":1}}', headers })
    expect(status).toBe(400)
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  })

  test('takes a byte order mark and refuses bytes that are no UTF-8', async () => {
    await using admin = await openAdmin()
    const headers = { 'content-type': 'application/json' }
    expect(await admin.call('POST', '/services', { text: '\uFEFF{"host":"h"}', headers })).toMatchObject({
      status: 201,
    })
    const text = Buffer.from('{"host":"h","name":"ü"}', 'latin1')
    expect(await admin.call('POST', '/services', { text, headers })).toMatchObject({
      status: 400,
      body: { message: 'Cannot parse JSON body' },
    })
  })
})
