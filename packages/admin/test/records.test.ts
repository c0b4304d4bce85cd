import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileStore } from '@canary-release/core/registry'
import { describe, expect, test } from 'vitest'
import { listOf, openAdmin, recordOf } from './client.js'

describe('records', () => {
  test('a service is made, read, changed, replaced and deleted, by name or id, with or without a slash at the end', async () => {
    await using admin = await openAdmin()
    const { request } = admin
    const json = { name: 'orders', url: 'https://orders:8443/v1' }
    const made = await request.post('/services/').send(json).expect(201)
    expect(made.body).toMatchObject({ protocol: 'https', host: 'orders', port: 8443, path: '/v1' })
    const { id } = recordOf(made)
    await request.get(`/services/${id}/`).expect(200, made.body)
    await request.get(`/services/${id.toUpperCase()}`).expect(200, made.body)
    const changed = await request
      .patch('/services/orders')
      .send({ port: 9443, tags: ['a'] })
      .expect(200)
    expect(changed.body).toMatchObject({ id, host: 'orders', port: 9443, path: '/v1', tags: ['a'] })
    const replaced = await request.put('/services/orders').send({ url: 'http://new' }).expect(200)
    expect(replaced.body).toMatchObject({ id, name: 'orders', host: 'new', port: 80, path: null, tags: null })
    await request.delete('/services/orders/').expect(204)
    await request.delete('/services/orders').expect(204)
    await request.get(`/services/${id}`).expect(404)
  })

  test('PUT makes what is not there, under the id or name of the path', async () => {
    await using admin = await openAdmin()
    const id = '0f0f0f0f-1111-4222-8333-444444444444'
    expect(await admin.call('PUT', `/services/${id}`, { json: { host: 'h' } })).toMatchObject({
      status: 200,
      body: { id, name: null },
    })
    expect(await admin.call('PUT', '/consumers/b%C3%B6b%2F1', { form: ['custom_id=1'] })).toMatchObject({
      status: 200,
      body: { username: 'böb/1', custom_id: '1' },
    })
    await admin.request.get('/consumers/b%C3%B6b%2F1').expect(200)
    const plugin = { name: 'canary', config: { percentage: 5, upstream_port: 1 } }
    expect(await admin.call('PUT', '/plugins/mine', { json: plugin })).toMatchObject({
      body: { instance_name: 'mine' },
    })
    const again = await admin.call('PUT', '/plugins/mine', {
      json: { ...plugin, config: { ...plugin.config, percentage: 6 } },
    })
    expect(again).toMatchObject({ status: 200, body: { config: { percentage: 6 } } })
    expect(listOf(await admin.call('GET', '/plugins')).data).toHaveLength(1)
  })

  test("PATCH changes what it says of a plugin's config, and null takes a field back", async () => {
    await using admin = await openAdmin()
    const json = { name: 'canary', config: { percentage: 5, upstream_port: 1, upstream_uri: '/b', groups: ['a'] } }
    const { id } = recordOf(await admin.call('POST', '/plugins', { json }))
    const config = { percentage: 7, upstream_uri: null }
    const changed = await admin.request.patch(`/plugins/${id}`).send({ config }).expect(200)
    expect(changed.body).toMatchObject({
      config: { percentage: 7, upstream_port: 1, upstream_uri: null, groups: ['a'] },
    })
    const empty = admin.request.patch(`/plugins/${id}`).send({ config: { upstream_port: null } })
    await empty.expect(400, /"fields":\{"@entity":\["[^"]*upstream_uri/)
    await admin.request.get(`/plugins/${id}`).expect(200, changed.body)
  })

  test("a list under a record holds that record's, and takes nobody else's", async () => {
    await using admin = await openAdmin()
    const { call } = admin
    for (const name of ['a', 'b']) {
      await call('POST', '/services', { json: { name, host: name } })
      await call('POST', `/services/${name}/routes`, { json: { name: `${name}-route`, paths: [`/${name}`] } })
    }
    const form = ['name=canary', 'config.upstream_port=1', 'instance_name=on-a']
    const plugin = await admin.request.post('/services/a/plugins').send(form.join('&')).expect(201)
    expect(listOf(await call('GET', '/services/a/routes')).data).toMatchObject([{ name: 'a-route' }])
    expect(listOf(await call('GET', '/services/b/plugins')).data).toEqual([])
    await admin.request.get('/services/a/plugins/on-a').expect(200, plugin.body)
    for (const [method, sent] of [
      ['GET', {}],
      ['PATCH', { json: { enabled: false } }],
      ['PUT', { form }],
    ] as const) {
      expect(await call(method, '/services/b/plugins/on-a', sent)).toMatchObject({ status: 404 })
    }
    await admin.request.delete('/services/b/plugins/on-a').expect(204)
    await admin.request.get('/plugins/on-a').expect(200, plugin.body)
    await admin.request.delete('/services/a/plugins/on-a').expect(204)
    await admin.request.get('/plugins/on-a').expect(404)
    await admin.request.delete('/services/nobody/plugins/on-a').expect(404)
  })

  test('pages of a list are followed to the end, each record once', async () => {
    await using admin = await openAdmin()
    await admin.call('POST', '/services', { json: { name: 'a b', host: 'h' } })
    await admin.registry.change('test', (draft) => {
      for (let i = 0; i < 250; i += 1)
        draft.create('routes', { paths: ['/'], name: `r${i}` }, { kind: 'services', key: 'a b' })
    })
    const seen = new Set<string>()
    const sizes: number[] = []
    let next: string | null = '/services/a%20b/routes'
    while (next !== null) {
      const page = listOf(await admin.call('GET', next))
      for (const { id } of page.data) seen.add(id)
      sizes.push(page.data.length)
      if (page.next !== null) expect(page.next).toBe(`/services/a%20b/routes?offset=${page.offset}`)
      next = page.next
    }
    expect([sizes, seen.size]).toEqual([[100, 100, 50], 250])
    const first = listOf(await admin.call('GET', '/routes?size=240'))
    expect(first.data).toHaveLength(240)
    expect(listOf(await admin.call('GET', first.next ?? '')).data).toHaveLength(10)
    expect(listOf(await admin.call('GET', '/routes?size=1000'))).toMatchObject({ next: null })
  })

  test('a new record beside the list does not shift the pages', async () => {
    await using admin = await openAdmin()
    const put = (n: string) =>
      admin.call('PUT', `/services/${n.repeat(8)}-0000-4000-8000-000000000000`, { json: { host: 'h' } })
    for (const n of ['2', '4', '6']) await put(n)
    const page = listOf(await admin.call('GET', '/services?size=2'))
    await put('1')
    expect(listOf(await admin.call('GET', page.next ?? '')).data.map(({ id }) => id[0])).toEqual(['6'])
  })

  test('outlive a restart, with what was done to their releases', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'canary-admin-'))
    try {
      const store = () => fileStore(join(folder, 'registry.json'))
      const paths = [
        '/services',
        '/plugins',
        '/consumers/alice/acls',
        '/audit',
        '/plugins/orders-v2',
        '/canaries/orders-v2',
      ]
      const answers: unknown[] = []
      {
        await using admin = await openAdmin({ store: store() })
        await admin.call('POST', '/services', { form: ['name=orders', 'url=http://orders-v1'] })
        const form = ['name=canary', 'instance_name=orders-v2', 'config.upstream_port=1', 'config.percentage=1']
        await admin.call('POST', '/services/orders/plugins', { form })
        await admin.call('POST', '/consumers', { form: ['username=alice'] })
        await admin.call('POST', '/consumers/alice/acls', { form: ['group=vip'] })
        await admin.call('POST', '/canaries/orders-v2/rollback', { form: ['reason=errors'] })
        for (const path of paths) answers.push(await admin.call('GET', path))
      }
      await using again = await openAdmin({ store: store() })
      for (const [i, path] of paths.entries()) {
        const { status, body, headers } = await again.call('GET', path)
        expect(answers[i]).toMatchObject({
          status,
          body,
          headers: headers.etag === undefined ? {} : { etag: headers.etag },
        })
      }
      expect((await again.call('GET', '/canaries/orders-v2')).body).toMatchObject({
        state: 'rolled-back',
        reason: 'errors',
      })
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('a canary that is switched off is still shown', async () => {
    await using admin = await openAdmin()
    const form = ['name=canary', 'instance_name=off', 'config.upstream_port=1', 'enabled=false']
    await admin.call('POST', '/plugins', { form })
    expect(await admin.call('GET', '/canaries/off')).toMatchObject({ status: 200, body: { enabled: false } })
    expect(listOf(await admin.call('GET', '/canaries')).data).toMatchObject([{ name: 'off', enabled: false }])
  })

  test('HEAD answers as GET, without the body', async () => {
    await using admin = await openAdmin()
    await admin.call('POST', '/services', { json: { name: 'a', host: 'a' } })
    const [get, head] = [await admin.call('GET', '/services/a'), await admin.call('HEAD', '/services/a')]
    expect([head.status, head.headers.etag, head.body]).toEqual([200, get.headers.etag, null])
  })
})

describe("consumers' keys", () => {
  test('are shown to who makes them, once, and nowhere else', async () => {
    await using admin = await openAdmin()
    const { call } = admin
    await call('POST', '/consumers', { json: { username: 'alice' } })
    const own = await call('POST', '/consumers/alice/key-auth', { json: { key: 'very-secret-key' } })
    expect(own).toMatchObject({ status: 201, body: { key: 'very-secret-key' } })
    const made = await call('POST', '/consumers/alice/key-auth')
    expect(made).toMatchObject({ status: 201, body: { key: expect.stringMatching(/^[\w-]{20,}$/) } })
    const { id, key } = recordOf(made)
    const changed = await call('PATCH', `/consumers/alice/key-auth/${id}`, { json: { ttl: 60 } })
    const taken = await call('POST', '/consumers/alice/key-auth', { json: { key: 'very-secret-key' } })
    expect(taken.status).toBe(409)
    await call('DELETE', '/consumers/alice/key-auth/very-secret-key')
    const answers = [
      changed,
      taken,
      await call('GET', `/consumers/alice/key-auth/${id}`),
      await call('GET', '/consumers/alice/key-auth'),
      await call('GET', '/audit'),
      await call('GET', '/consumers/alice'),
    ]
    const text = JSON.stringify([answers.map(({ body }) => body), admin.logged])
    expect(text).not.toContain('very-secret-key')
    expect(text).not.toContain(String(key))
    expect(listOf(answers[3] ?? made).data).toMatchObject([{ id, ttl: 60 }])
  })

  test('and groups belong to one consumer', async () => {
    await using admin = await openAdmin()
    for (const username of ['alice', 'bob']) await admin.call('POST', '/consumers', { json: { username } })
    const group = await admin.call('POST', '/consumers/alice/acls', { form: ['group=vip'] })
    expect(group).toMatchObject({ status: 201, body: { group: 'vip' } })
    expect(listOf(await admin.call('GET', '/consumers/bob/acls')).data).toEqual([])
    await admin.request.get(`/consumers/bob/acls/${recordOf(group).id}`).expect(404)
    await admin.request.post('/consumers/alice/acls').send('group=vip').expect(409)
    await admin.request.delete(`/consumers/alice/acls/${recordOf(group).id}`).expect(204)
    expect(listOf(await admin.call('GET', '/consumers/alice/acls')).data).toEqual([])
  })
})
