import { describe, expect, test } from 'vitest'
import { CanaryError } from '@canary-release/core'
import { type Store, memoryStore } from '@canary-release/core/registry'
import { z } from 'zod'
import { openAdmin, recordOf, send } from './client.js'

const UPSTREAM_MISSING =
  "at least one of these fields must be non-empty: 'config.upstream_uri', 'config.upstream_host', 'config.upstream_port'"
const NOBODY = '11111111-2222-4333-8444-555555555555'

async function withOrders() {
  const admin = await openAdmin()
  const service = recordOf(
    await admin.call('POST', '/services', { form: ['name=orders', 'url=http://orders-v1:3000'] }),
  )
  return { ...admin, service }
}

describe("errors have Kong's bodies", () => {
  test('a record that is not there', async () => {
    await using admin = await withOrders()
    for (const path of [
      '/plugins/nothing',
      '/services/nothing',
      '/routes/nothing/plugins',
      '/nothing',
      '/services/a/b/c',
      '/services/%zz',
      '//services',
      '/services//plugins',
      '/services/orders/../nothing',
    ]) {
      expect(await admin.call('GET', path)).toMatchObject({ status: 404, body: { message: 'Not found' } })
    }
    const absent = admin.request.patch(`/plugins/${NOBODY}`)
    await absent.send({ enabled: false }).expect(404, { message: 'Not found' })
  })

  test('a method that a path does not have', async () => {
    await using admin = await withOrders()
    const wrong = [
      ['post', '/services/orders'],
      ['delete', '/plugins'],
      ['put', '/consumers/'],
      ['patch', '/canaries'],
      ['get', '/canaries/x/rollback'],
    ] as const
    for (const [method, path] of wrong) {
      const { headers } = await admin.request[method](path).expect(405, { message: 'Method not allowed' })
      expect(headers['allow']).not.toContain(method.toUpperCase())
    }
    expect(await send(admin.url, 'TRACE', '/plugins')).toMatchObject({ status: 405 })
    await admin.request.options('/plugins').expect('allow', 'GET, HEAD, POST, OPTIONS')
  })

  test('a body that is no JSON', async () => {
    await using admin = await withOrders()
    const deep = `${'{"a":'.repeat(50)}1${'}'.repeat(50)}`
    for (const text of [
      '{',
      '',
      'null',
      '[]',
      '"a"',
      '{"a":1}x',
      `${'['.repeat(60)}${']'.repeat(60)}`,
      '{"a":'.repeat(40),
      deep,
    ]) {
      await admin.request.post('/services').type('json').send(text).expect(400, { message: 'Cannot parse JSON body' })
    }
  })

  test('a body of another type', async () => {
    await using admin = await withOrders()
    const types = ['text/plain', 'multipart/form-data', 'application/json; charset=utf-16', 'nonsense']
    for (const type of types) {
      const refused = admin.request.post('/services').set('content-type', type).send('{}')
      await refused.expect(415, { message: 'Unsupported media type' })
    }
    expect(await admin.call('POST', '/services', { text: '{}' })).toMatchObject({ status: 415 })
    await admin.request.post('/services').set('content-encoding', 'gzip').send({}).expect(415)
  })

  test('one field that does not fit', async () => {
    await using admin = await withOrders()
    const config = { percentage: 120, upstream_port: 3001 }
    const refused = admin.request.post('/services/orders/plugins').send({ name: 'canary', config })
    await refused.expect(400, {
      code: 2,
      name: 'schema violation',
      message: 'schema violation (config.percentage: value should be between 0 and 100)',
      fields: { config: { percentage: 'value should be between 0 and 100' } },
    })
  })

  test('several fields that do not fit, sorted by name', async () => {
    await using admin = await withOrders()
    const config = { duration: '3600', hash: 'user', upstream_port: 3001, weight: 1 }
    const json = { name: 'canary', config, consumer_group: 'x', enabled: 'true' }
    const refused = admin.request.post('/plugins').send(json)
    await refused.expect(400, {
      code: 2,
      name: 'schema violation',
      message:
        '5 schema violations (config.duration: expected a number; config.hash: expected one of: consumer, ip, none, header, allow, deny; config.weight: unknown field; consumer_group: unknown field; enabled: expected a boolean)',
      fields: {
        config: {
          duration: 'expected a number',
          hash: 'expected one of: consumer, ip, none, header, allow, deny',
          weight: 'unknown field',
        },
        consumer_group: 'unknown field',
        enabled: 'expected a boolean',
      },
    })
  })

  test('a required field that is missing', async () => {
    await using admin = await withOrders()
    await admin.request.post('/services').expect(400, {
      code: 2,
      name: 'schema violation',
      message: 'schema violation (host: required field missing)',
      fields: { host: 'required field missing' },
    })
    const form = 'name=canary&config.upstream_port=1&config.hash=header'
    const refused = admin.request.post('/plugins').send(form)
    await refused.expect(400, {
      code: 2,
      name: 'schema violation',
      message: 'schema violation (config.hash_header: required field missing)',
      fields: { config: { hash_header: 'required field missing' } },
    })
  })

  test('a canary whose B differs in nothing', async () => {
    await using admin = await withOrders()
    const refused = admin.request.post('/services/orders/plugins').send('name=canary')
    await refused.expect(400, {
      code: 2,
      name: 'schema violation',
      message: `schema violation (${UPSTREAM_MISSING})`,
      fields: { '@entity': [UPSTREAM_MISSING] },
    })
  })

  test('a plugin of another name', async () => {
    await using admin = await withOrders()
    const message = "plugin 'foo' not enabled; add it to the 'plugins' configuration property"
    const refused = admin.request.post('/plugins').send('name=foo&config.upstream_port=1')
    await refused.expect(400, {
      code: 2,
      name: 'schema violation',
      message: `schema violation (name: ${message})`,
      fields: { name: message },
    })
  })

  test('a second canary on the same scope', async () => {
    await using admin = await withOrders()
    const form = 'name=canary&config.upstream_port=3001&config.percentage=1'
    await admin.request.post('/services/orders/plugins').send(form).expect(201)
    const { id } = admin.service
    const refused = admin.request.post('/services/orders/plugins').send(form)
    await refused.expect(409, {
      code: 5,
      name: 'unique constraint violation',
      message: `UNIQUE violation detected on '{consumer=null,name="canary",route=null,service={id="${id}"}}'`,
      fields: { consumer: null, name: 'canary', route: null, service: { id } },
    })
    const taken = admin.request.post('/services').send('name=orders&host=h')
    await taken.expect(409, {
      code: 5,
      name: 'unique constraint violation',
      message: `UNIQUE violation detected on '{name="orders"}'`,
      fields: { name: 'orders' },
    })
  })

  test('a reference to nothing', async () => {
    await using admin = await withOrders()
    const form = `name=canary&config.upstream_port=1&service_id=${NOBODY}`
    const refused = admin.request.post('/plugins').send(form)
    await refused.expect(400, {
      code: 4,
      name: 'foreign key violation',
      message: `the foreign key '{id="${NOBODY}"}' does not reference an existing 'services' entity.`,
      fields: { service: { id: NOBODY } },
    })
    await admin.request.post('/services/nothing/plugins').send('name=canary').expect(404, { message: 'Not found' })
  })

  test('a service that its routes still need', async () => {
    await using admin = await withOrders()
    await admin.call('POST', '/services/orders/routes', { form: ['name=all', 'paths[]=/'] })
    const { status, body } = await admin.call('DELETE', '/services/orders')
    expect([status, body]).toMatchObject([400, { code: 4, name: 'foreign key violation' }])
  })

  test('a page that is none', async () => {
    await using admin = await withOrders()
    for (const size of ['0', '1001', 'x', '1.5', '-1', '']) {
      await admin.request.get(`/services?size=${size}`).expect(400, /"code":10/)
      await admin.request.get(`/audit?size=${size}`).expect(400, /"name":"invalid size"/)
    }
    await admin.request.get('/services?offset=x').expect(400, /"code":7/)
  })

  test('a move that is not legal', async () => {
    await using admin = await withOrders()
    const form = ['name=canary', 'config.upstream_port=3001', 'config.percentage=1']
    const { id } = recordOf(await admin.call('POST', '/plugins', { form }))
    expect(await admin.call('POST', `/canaries/${id}/resume`)).toMatchObject({
      status: 409,
      body: {
        name: 'ERR_CANARY_STATE',
        message: 'cannot resume a release that is running: legal where it is paused',
      },
    })
    const bad = await admin.call('POST', `/canaries/${id}/rollback`, { json: { reason: 'a\nb', why: 1 } })
    expect(bad).toMatchObject({
      status: 400,
      body: { code: 2, fields: { reason: 'expected one line of text', why: 'unknown field' } },
    })
  })

  test('a store that fails: 503, nothing changed, and nothing of the cause told', async () => {
    let broken = false
    const memory = memoryStore()
    const store: Store = {
      ...memory,
      async save(...change) {
        if (!broken) return memory.save(...change)
        const details = { cause: new Error('EIO'), outcome: 'not-written' } as const
        throw new CanaryError('ERR_CANARY_STORE', 'cannot write /secret/state.json', details)
      },
    }
    await using admin = await openAdmin({ store })
    const created = await admin.request.post('/services').send('name=orders&host=a').expect(201)
    broken = true
    const refused = { name: 'ERR_CANARY_STORE', message: 'the store could not be read or written: nothing has changed' }
    await admin.request.patch('/services/orders').send('host=b').expect('retry-after', '1').expect(503, refused)
    await admin.request.get('/services/orders').expect(200, created.body)
    expect(admin.logged.join()).toContain('EIO')
    broken = false
    const changed = admin.request.patch('/services/orders').send('host=b')
    await changed.expect(200, /"host":"b"/)
  })

  test('a store that does not say whether it made a change: 503 with the id of its commit, and no call to repeat it', async () => {
    const memory = memoryStore()
    let answers = true
    const store: Store = {
      ...memory,
      async save(...change) {
        const result = await memory.save(...change)
        // Committed, and the answer lost.
        return answers ? result : new Promise<never>(() => undefined)
      },
    }
    await using admin = await openAdmin({ store, changeTimeoutMs: 50 })
    answers = false
    const { status, body, headers } = await admin.call('POST', '/services', { form: ['name=orders', 'host=a'] })
    const { commit } = z.object({ commit: z.string() }).parse(body)
    expect([status, body, headers['retry-after']]).toEqual([
      503,
      {
        name: 'ERR_CANARY_STORE',
        message:
          'the store did not say whether the change was made: do not repeat it before you have looked for it in /audit',
        commit,
      },
      undefined,
    ])
    answers = true
    const { data } = z
      .object({ data: z.array(z.object({ id: z.string() })) })
      .parse((await admin.call('GET', '/audit')).body)
    expect(data).toMatchObject([{ id: commit }])
    expect(await admin.call('GET', '/services/orders')).toMatchObject({ status: 200 })
  })

  test('a store that hangs keeps no client waiting', async () => {
    const memory = memoryStore()
    let release = () => {}
    const held = new Promise<void>((resolve) => (release = resolve))
    const store: Store = { ...memory, save: (...change) => held.then(() => memory.save(...change)) }
    await using admin = await openAdmin({ store, timeoutMs: 50 })
    try {
      const refused = admin.request.post('/services').send('host=a')
      await refused.expect(503, { message: 'The store did not answer in 0.05 s: the change may still be made' })
    } finally {
      release()
    }
  })

  test('what nobody expected: 500 without stack or path, which the log has', async () => {
    let broken = 0
    const authenticate = () => {
      if (broken === 1) throw new Error('boom at /home/secret')
      // oxlint-disable-next-line no-throw-literal -- an application may
      if (broken === 2) throw 'boom again'
      return 'somebody'
    }
    await using admin = await openAdmin({ authenticate })
    for (broken of [1, 2]) {
      await admin.request.get('/services').expect(500, { message: 'An unexpected error occurred' })
    }
    expect(admin.logged).toMatchObject([expect.stringContaining('boom at'), expect.stringContaining('boom again')])
  })

  test.each<[string, () => unknown, number]>([
    ['throws nothing', () => toss(undefined), 500],
    ['throws a symbol', () => toss(Symbol('who')), 500],
    ['throws what has no text', () => toss(Object.create(null)), 500],
    ['rejects', () => Promise.reject(new Error('boom')), 500],
    ['rejects with nothing', () => Promise.reject(), 500],
    ['is never done', () => new Promise(() => {}), 503],
    ['returns null', () => null, 401],
    ['returns a number', () => 7, 401],
    ['returns an object', () => ({ name: 'ops' }), 401],
    ['returns a symbol', () => Symbol('ops'), 401],
    ['returns nothing, async', () => Promise.resolve(), 401],
  ])('an authenticate that %s is answered, and so is the next request', async (_name, authenticate, expected) => {
    let broken = false
    await using admin = await openAdmin({
      authenticate: () => (broken ? authenticate() : 'ops') as string,
      timeoutMs: 200,
    })
    broken = true
    await admin.request.get('/services').expect(expected)
    broken = false
    await admin.request.get('/services').expect(200)
  })

  test.each<[string, () => unknown]>([
    ['throws', () => toss(new Error('no disk'))],
    ['rejects', () => Promise.reject(new Error('no disk'))],
  ])('a logger that %s changes no answer, and ends nothing', async (_name, log) => {
    let broken = false
    const authenticate = () => (broken ? toss(new Error('boom')) : 'ops') as string
    await using admin = await openAdmin({ authenticate, logger: { info: log, warn: log, error: log } })
    broken = true
    for (let i = 0; i < 2; i += 1) await admin.request.get('/services').expect(500)
  })
})

function toss(error: unknown): unknown {
  throw error
}
