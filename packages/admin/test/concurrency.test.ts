import { Agent } from 'node:http'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { openAdmin } from './client.js'

const WRITERS = 50
const CHANGES = 20
/** How many records the writers share: five of them fight for each. */
const RECORDS = 10

const counted = z.looseObject({ tags: z.tuple([z.string()]), config: z.looseObject({ percentage: z.number() }) })

describe('If-Match', () => {
  test('changes a record that is as it was, and no other', async () => {
    await using admin = await openAdmin()
    const { call } = admin
    const made = await call('POST', '/services', { json: { name: 'a', host: 'a' } })
    const change = (etag: string, method = 'PATCH') =>
      call(method, '/services/a', { json: { host: 'b' }, headers: { 'if-match': etag } })
    const first = made.headers.etag ?? ''
    const changed = await change(first)
    expect([changed.status, changed.headers.etag === first]).toEqual([200, false])
    for (const etag of [first, `W/${changed.headers.etag}`, '"x"', 'x', '']) {
      for (const method of ['PATCH', 'PUT', 'DELETE']) {
        const { status, body } = await change(etag, method)
        expect([etag, method, status, body]).toEqual([etag, method, 412, { message: 'Precondition failed' }])
      }
    }
    expect(await change(`"1", ${changed.headers.etag}`)).toMatchObject({ status: 200 })
    expect(await change('*')).toMatchObject({ status: 200 })
    await call('DELETE', '/services/a', { headers: { 'if-match': '*' } })
    expect(await change('*', 'PUT')).toMatchObject({ status: 412 })
    expect(await change('*', 'DELETE')).toMatchObject({ status: 412 })
  })

  test('guards moves, whose plugin has the same ETag', async () => {
    await using admin = await openAdmin()
    const form = ['name=canary', 'instance_name=c', 'config.upstream_port=1', 'config.percentage=1']
    const { headers } = await admin.call('POST', '/plugins', { form })
    const move = (name: string) =>
      admin.call('POST', `/canaries/c/${name}`, { headers: { 'if-match': headers.etag ?? '' } })
    const paused = await move('pause')
    expect(paused.status).toBe(200)
    expect((await admin.call('GET', '/plugins/c')).headers.etag).toBe(paused.headers.etag)
    for (const name of ['rollback', 'promote', 'finalize']) expect(await move(name)).toMatchObject({ status: 412 })
  })

  test('If-None-Match: * makes a record, and replaces none', async () => {
    await using admin = await openAdmin()
    const put = () => admin.call('PUT', '/services/a', { json: { host: 'a' }, headers: { 'if-none-match': '*' } })
    const answers = await Promise.all([put(), put(), put()])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412])
  })
})

describe('many writers at once', () => {
  test(`${WRITERS} × ${CHANGES} changes with If-Match lose none, and readers see only whole states`, async () => {
    await using admin = await openAdmin()
    const { call, registry } = admin
    const agent = new Agent({ keepAlive: true, maxSockets: WRITERS })
    const names = Array.from({ length: RECORDS }, (_, i) => `c${i}`)
    for (const name of names) {
      await call('POST', '/services', { json: { name, host: name } })
      const json = { name: 'canary', instance_name: name, tags: ['0'], config: { percentage: 0, upstream_port: 1 } }
      await call('POST', `/services/${name}/plugins`, { json })
    }
    const writing = new AbortController()
    let refused = 0
    const write = async (name: string) => {
      for (let done = 0; done < CHANGES;) {
        const { body, headers } = await call('GET', `/plugins/${name}`, { agent })
        const n = Number(counted.parse(body).tags[0]) + 1
        const json = { tags: [String(n)], config: { percentage: n } }
        const sent = { json, headers: { 'if-match': headers.etag ?? '' }, agent }
        const { status } = await call('PATCH', `/plugins/${name}`, sent)
        expect([200, 412]).toContain(status)
        if (status === 200) done += 1
        else refused += 1
      }
    }
    let read = 0
    const watch = async () => {
      while (!writing.signal.aborted) {
        for (const name of names) {
          const { tags, config } = counted.parse(registry.get('plugins', name)?.entity)
          const inForce = registry.release(name)?.status().percentage
          expect([config.percentage, inForce]).toEqual([Number(tags[0]), Number(tags[0])])
          read += 1
        }
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const reader = watch()
    try {
      await Promise.all(Array.from({ length: WRITERS }, (_, i) => write(names[i % RECORDS] ?? '')))
    } finally {
      writing.abort()
      agent.destroy()
      await reader
    }
    const total = (WRITERS * CHANGES) / RECORDS
    for (const name of names) {
      const { body } = await call('GET', `/plugins/${name}`)
      expect(body).toMatchObject({ tags: [String(total)], config: { percentage: total } })
    }
    expect(registry.version).toBe(2 * RECORDS + WRITERS * CHANGES)
    expect([refused > 0, read > 100]).toEqual([true, true])
  }, 120_000)

  test('of many that make the same record, one succeeds', async () => {
    await using admin = await openAdmin()
    const make = () => admin.call('POST', '/services', { json: { name: 'a', host: 'a' } })
    const statuses = (await Promise.all(Array.from({ length: 20 }, make))).map(({ status }) => status)
    expect(statuses.sort()).toEqual([201, ...Array.from({ length: 19 }, () => 409)])
  })
})
