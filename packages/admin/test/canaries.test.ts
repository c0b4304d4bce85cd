import { mountOn } from '@canary-release/core/registry/internal'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { listOf, openAdmin, recordOf } from './client.js'

const START = 1_800_000_000

/** A service with a canary, and a clock that is moved by hand. */
async function withCanary(...fields: readonly string[]) {
  const clock = { seconds: START }
  const admin = await openAdmin({ clock: () => clock.seconds * 1000 })
  await admin.call('POST', '/services', { form: ['name=orders', 'url=http://orders-v1:3000'] })
  const form = ['name=canary', 'instance_name=orders-v2', 'config.upstream_host=orders-v2', ...fields]
  const plugin = await admin.call('POST', '/services/orders/plugins', { form })
  return { ...admin, clock, plugin, id: recordOf(plugin).id }
}

const audit = z.object({
  data: z.array(
    z.object({
      by: z.string(),
      at: z.number(),
      what: z.string(),
      changes: z.array(z.object({ kind: z.string(), before: z.unknown(), after: z.unknown() })),
    }),
  ),
})

describe('canaries', () => {
  test('are shown with their scope, share and counts, by id or instance name', async () => {
    await using admin = await withCanary('config.percentage=10')
    const { call, registry, id } = admin
    const shown = await admin.request.get(`/canaries/${id}`).expect(200)
    const share = { percentage: 10, bucketsOnB: 100, steps: 1000 }
    expect(shown.body).toMatchObject({ id, name: 'orders-v2', enabled: true, state: 'running', ...share })
    expect(shown.body).toMatchObject({ service: { id: expect.any(String) }, route: null, consumer: null, api: null })
    await admin.request.get('/canaries/orders-v2/').expect(200, shown.body)
    expect(shown.headers['etag']).toBe(admin.plugin.headers.etag)
    for (let i = 0; i < 20; i += 1) registry.release(id)?.decide({ consumer: `c${i}` })
    const counted = z
      .object({ counts: z.record(z.string(), z.unknown()) })
      .parse((await call('GET', `/canaries/${id}`)).body)
    expect(counted).toMatchObject({ counts: { A: { requests: expect.any(Number) }, fallback: 0 } })
    expect(JSON.stringify(counted)).toMatch(/"requests":(?:1\d|20)\b/)
    expect(await call('GET', '/canaries/nothing')).toMatchObject({ status: 404, body: { message: 'Not found' } })
  })

  test('are listed in pages', async () => {
    await using admin = await openAdmin()
    for (const name of ['a', 'b', 'c']) {
      await admin.call('POST', '/services', { json: { name, host: name } })
      const form = ['name=canary', `instance_name=${name}-v2`, 'config.upstream_port=1', 'config.percentage=1']
      await admin.call('POST', `/services/${name}/plugins`, { form })
    }
    const first = listOf(await admin.call('GET', '/canaries?size=2'))
    const rest = listOf(await admin.call('GET', first.next ?? ''))
    const names = [...first.data, ...rest.data].map(({ name }) => name)
    expect([first.data.length, rest.data.length, names.sort()]).toEqual([2, 1, ['a-v2', 'b-v2', 'c-v2']])
  })

  test('move: pause, resume, promote and roll back, with who and why', async () => {
    await using admin = await withCanary('config.duration=1000')
    const { call, clock, registry, id } = admin
    clock.seconds = START + 250
    const paused = await call('POST', '/canaries/orders-v2/pause', { form: ['reason=too many errors'] })
    expect(paused).toMatchObject({
      status: 200,
      body: { state: 'paused', bucketsOnB: 250, reason: 'too many errors', by: 'admin@127.0.0.1', at: START + 250 },
    })
    clock.seconds = START + 900
    expect((await call('GET', `/canaries/${id}`)).body).toMatchObject({ state: 'paused', bucketsOnB: 250 })
    await admin.request.post(`/canaries/${id}/pause`).expect(409)
    expect(await call('POST', `/canaries/${id}/resume`)).toMatchObject({
      status: 200,
      body: { state: 'running', bucketsOnB: 250 },
    })
    clock.seconds += 100
    expect((await call('GET', `/canaries/${id}`)).body).toMatchObject({ state: 'running', bucketsOnB: 350 })
    expect(await call('POST', `/canaries/${id}/promote/`, { json: { reason: 'all is well' } })).toMatchObject({
      body: { state: 'promoted', reason: 'all is well' },
    })
    expect(registry.release(id)?.decide({ consumer: 'x' })).toMatchObject({ upstream: 'B', reason: 'promoted' })
    expect(await call('POST', `/canaries/${id}/rollback`, { json: {} })).toMatchObject({
      body: { state: 'rolled-back', reason: null },
    })
    expect(registry.release(id)?.decide({ consumer: 'x' })).toMatchObject({ upstream: 'A', reason: 'rolled-back' })
    expect(await call('POST', `/canaries/${id}/promote`)).toMatchObject({
      status: 409,
      body: { name: 'ERR_CANARY_STATE' },
    })
    for (const move of ['rollback', 'promote', 'pause', 'resume', 'restart', 'finalize']) {
      await admin.request.post(`/canaries/nothing/${move}`).expect(404)
    }
  })

  test('begin again after a rollback by a person with another percentage, and stay with the same one', async () => {
    await using admin = await withCanary('config.percentage=10')
    await admin.call('POST', '/canaries/orders-v2/rollback')
    for (const form of [['tags=x'], ['config.percentage=10'], ['config.percentage=10.0', 'config.upstream_port=']]) {
      await admin.call('PATCH', '/plugins/orders-v2', { form })
      expect((await admin.call('GET', '/canaries/orders-v2')).body).toMatchObject({ state: 'rolled-back' })
    }
    await admin.call('PATCH', '/plugins/orders-v2', { form: ['config.percentage=5'] })
    expect((await admin.call('GET', '/canaries/orders-v2')).body).toMatchObject({ state: 'running', bucketsOnB: 50 })
  })

  test('stay rolled back by the guard where a pipeline steps on, and say how to begin again', async () => {
    await using admin = await withCanary('config.percentage=10')
    const { call, registry, id } = admin
    registry.release(id)?.rollback('rolled back: B failed', 'guard')
    await registry.change('nobody', () => null)
    const message = `still rolled back by the guard: POST /canaries/${id}/restart`
    const patched = await call('PATCH', `/plugins/${id}`, { form: ['config.percentage=20'] })
    expect(patched).toMatchObject({ status: 200, body: { message, config: { percentage: 20 } } })
    expect((await call('GET', `/plugins/${id}`)).body).not.toHaveProperty('message')
    const put = await call('PUT', '/plugins/orders-v2', {
      json: { ...recordOf(patched), config: { percentage: 30, upstream_host: 'orders-v2' } },
    })
    expect(put).toMatchObject({ status: 200, body: { message, config: { percentage: 30 } } })
    // The answer, written back, says nothing new.
    const again = await call('PUT', `/plugins/${id}`, { json: put.body })
    expect(again.status).toBe(200)
    expect(again.body).not.toHaveProperty('message')
    const { data } = audit.parse((await call('GET', '/audit')).body)
    expect(data[0]?.what).toBe(`replace plugins ${id}: ${message}`)
    expect((await call('GET', `/canaries/${id}`)).body).toMatchObject({ state: 'rolled-back', by: 'guard' })
    expect(await call('POST', `/canaries/${id}/restart`)).toMatchObject({
      status: 200,
      body: { state: 'running', percentage: 30, bucketsOnB: 300, by: 'admin@127.0.0.1', reason: null },
    })
  })

  test('restart: with a reason, with another share, and only as a restart may', async () => {
    await using admin = await withCanary('config.duration=1000')
    const { call, clock, id } = admin
    const restart = (sent: Parameters<typeof call>[2]) => call('POST', `/canaries/${id}/restart`, sent)
    clock.seconds = START + 500
    expect(await restart({ form: ['reason=B is repaired'] })).toMatchObject({
      status: 200,
      headers: { etag: '"3"' },
      body: { state: 'running', bucketsOnB: 0, reason: 'B is repaired', at: START + 500, elapsed: 0, start: START },
    })
    expect(await restart({ json: { start: START + 1000, duration: 100 } })).toMatchObject({
      body: { state: 'scheduled', endsAt: START + 1100, elapsed: null },
    })
    expect(await restart({ json: {} })).toMatchObject({ status: 409, body: { name: 'ERR_CANARY_STATE' } })
    clock.seconds = START + 1050
    expect(await restart({ form: ['percentage=12.5', 'reason='] })).toMatchObject({
      body: { state: 'running', percentage: 12.5, bucketsOnB: 125, start: null },
    })
    expect((await call('GET', `/plugins/${id}`)).body).toMatchObject({ config: { percentage: 12.5, duration: 100 } })
    for (const [json, field] of [
      [{ percentage: '10' }, 'percentage'],
      [{ start: '2026-02-31' }, 'start'],
      [{ steps: 5 }, 'steps'],
      [{ percentage: 10, start: START }, '@entity'],
      [{ percentage: 101 }, 'config'],
      [{ start: START * 1000 }, 'config'],
      [{ duration: 0 }, 'config'],
    ] as const) {
      expect(await restart({ json }), field).toMatchObject({
        status: 400,
        body: { name: 'schema violation', fields: { [field]: expect.anything() } },
      })
    }
    expect(await restart({ json: {}, headers: { 'if-match': '"1"' } })).toMatchObject({ status: 412 })
    expect((await call('GET', `/canaries/${id}`)).body).toMatchObject({ percentage: 12.5, state: 'running' })
  })

  test('keep their share where the duration of a ramp is changed, while paused too', async () => {
    await using admin = await withCanary('config.duration=3600')
    const { call, clock, id } = admin
    const shown = async () => (await call('GET', `/canaries/${id}`)).body
    clock.seconds = START + 1800
    await call('PATCH', `/plugins/${id}`, { form: ['config.duration=7200'] })
    expect(await shown()).toMatchObject({ bucketsOnB: 500, endsAt: START + 5400, at: START + 1800, elapsed: 3600 })
    await call('POST', `/canaries/${id}/pause`)
    await call('PATCH', `/plugins/${id}`, { form: ['config.duration=600'] })
    clock.seconds += 10_000
    expect(await shown()).toMatchObject({ state: 'paused', bucketsOnB: 500, elapsed: 300 })
    await call('POST', `/canaries/${id}/resume`)
    await call('PATCH', `/plugins/${id}`, { form: ['enabled=false'] })
    clock.seconds += 10_000
    expect(await shown()).toMatchObject({ state: 'disabled', bucketsOnB: 0, elapsed: 300 })
    await call('PATCH', `/plugins/${id}`, { form: ['enabled=true'] })
    expect(await shown()).toMatchObject({ state: 'running', bucketsOnB: 500, endsAt: clock.seconds + 300 })
  })

  test('finalize: A takes the place of B and the plugin goes, in one change', async () => {
    await using admin = await withCanary('config.percentage=10', 'config.upstream_uri=/v2')
    const { call, registry, id } = admin
    const { version } = registry
    expect(await call('POST', '/canaries/orders-v2/finalize')).toMatchObject({
      status: 200,
      body: { name: 'orders', host: 'orders-v2', port: 3000, path: '/v2' },
    })
    expect(registry.version).toBe(version + 1)
    await admin.request.get(`/plugins/${id}`).expect(404)
    expect(listOf(await call('GET', '/canaries')).data).toEqual([])
    expect(mountOn(registry, { service: 'orders' }).find('x').place.release).toBeNull()
  })

  test('finalize is refused after a rollback, and where no one location is meant', async () => {
    await using admin = await withCanary('config.percentage=10')
    await admin.call('POST', '/canaries/orders-v2/rollback')
    await admin.request.post('/canaries/orders-v2/finalize').expect(409)
    const form = ['name=canary', 'instance_name=all', 'config.upstream_host=v2']
    await admin.call('POST', '/plugins', { form })
    expect(await admin.call('POST', '/canaries/all/finalize')).toMatchObject({
      status: 409,
      body: { name: 'ERR_CANARY_STATE' },
    })
  })

  test('explain a request, and change nothing by it', async () => {
    await using admin = await withCanary('config.percentage=10', 'config.canary_by_header_name=x-canary')
    const { call, registry, id } = admin
    const path = `/canaries/${id}/explain`
    const before = registry.release(id)?.status()
    expect(await call('GET', `${path}?consumer=alice&header.X-Canary=always&header.__proto__=1`)).toMatchObject({
      status: 200,
      body: { decision: { upstream: 'B', reason: 'override', origin: 'http://orders-v2:3000' }, goesToB: null },
    })
    expect((await call('GET', `${path}?consumer=alice&cookie.a=b`)).body).toMatchObject({
      decision: { reason: 'bucket', hashedBy: 'consumer' },
      identity: 'alice',
      goesToB: { percentage: expect.any(Number), date: null },
    })
    expect((await call('GET', `${path}?ip=2001:db8::1`)).body).toMatchObject({
      decision: { hashedBy: 'ip' },
      rules: expect.arrayContaining([{ rule: 'consumer', applies: false, why: 'the request has no consumer' }]),
    })
    expect((await call('GET', path)).body).toMatchObject({ decision: { hashedBy: 'none' }, identity: null })
    expect(await call('GET', '/canaries/nothing/explain')).toMatchObject({
      status: 404,
      body: { message: 'Not found' },
    })
    expect(registry.release(id)?.status()).toEqual(before)
  })

  test('explain a consumer of the registry by name, and groups', async () => {
    await using admin = await withCanary('config.hash=allow', 'config.groups[]=vip')
    const { call } = admin
    await call('POST', '/consumers', { json: { username: 'alice' } })
    await call('POST', '/consumers/alice/acls', { json: { group: 'vip' } })
    const upstreamOf = async (query: string) =>
      z
        .object({ decision: z.object({ upstream: z.string() }) })
        .parse((await call('GET', `/canaries/orders-v2/explain?${query}`)).body).decision.upstream
    expect(await upstreamOf('consumer=alice')).toBe('B')
    expect(await upstreamOf('consumer=bob')).toBe('A')
    expect(await upstreamOf('consumer=bob&group=x&group=vip')).toBe('B')
  })

  test('tell what their guard knows, or that there is none', async () => {
    await using admin = await withCanary('config.percentage=10')
    expect((await admin.call('GET', '/canaries/orders-v2/guard')).body).toEqual({ guard: null })
    await admin.request.get('/canaries/nothing/guard').expect(404)
    await using guarded = await openAdmin({ guard: true })
    const form = ['name=canary', 'instance_name=watched', 'config.upstream_host=v2', 'config.percentage=50']
    await guarded.call('POST', '/plugins', { form })
    expect((await guarded.call('GET', '/canaries/watched/guard')).body).toMatchObject({ guard: { verdict: 'blind' } })
  })
})

describe('the audit trail', () => {
  test('says when, who, what, before and after, the newest first', async () => {
    await using admin = await withCanary('config.percentage=10')
    const { call, clock, id } = admin
    clock.seconds += 60
    await call('PATCH', `/plugins/${id}`, { form: ['config.percentage=20'] })
    await call('POST', `/canaries/${id}/rollback`, { form: ['reason=errors'] })
    await call('DELETE', `/plugins/${id}`)
    const { data } = audit.parse((await call('GET', '/audit')).body)
    expect(data.map(({ what }) => what.replace(id, 'ID').replace(/services \S+/, 'services S'))).toEqual([
      'delete plugins ID',
      'rollback plugins ID: errors',
      'update plugins ID',
      'create plugins ID',
      'create services S',
    ])
    expect(data[2]).toMatchObject({
      by: 'admin@127.0.0.1',
      at: START + 60,
      changes: [{ kind: 'plugins', before: { config: { percentage: 10 } }, after: { config: { percentage: 20 } } }],
    })
    expect(data[0]?.changes).toMatchObject([{ before: { id }, after: null }])
    expect(audit.parse((await call('GET', '/audit?size=2')).body).data).toEqual(data.slice(0, 2))
  })

  test('has no entry of what changed nothing', async () => {
    await using admin = await openAdmin()
    await admin.call('DELETE', '/plugins/nothing')
    await admin.call('POST', '/services', { json: { host: 1 } })
    await admin.call('PATCH', '/services/nothing', { json: { host: 'a' } })
    expect(audit.parse((await admin.call('GET', '/audit')).body).data).toEqual([])
  })
})
