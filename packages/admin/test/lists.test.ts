import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { listOf, openAdmin, recordOf, send } from './client.js'

async function filled() {
  const admin = await openAdmin()
  for (const [name, tags] of [
    ['a', ['team-a', 'eu']],
    ['b', ['team-b', 'eu']],
    ['c', ['team-c']],
  ] as const) {
    await admin.call('POST', '/services', { json: { name, host: name, tags } })
    await admin.call('POST', '/consumers', { json: { username: name, custom_id: `c-${name}`, tags } })
  }
  const names = async (path: string) =>
    listOf(await admin.call('GET', path))
      .data.map(({ name, username }) => name ?? username)
      .toSorted()
  return { ...admin, names }
}

describe('a list', () => {
  test('is narrowed by tags, all of them with commas and any of them with slashes', async () => {
    await using admin = await filled()
    expect(await admin.names('/services?tags=team-a')).toEqual(['a'])
    expect(await admin.names('/services?tags=team-a,eu')).toEqual(['a'])
    expect(await admin.names('/services?tags=team-a%2Ceu&size=1000')).toEqual(['a'])
    expect(await admin.names('/services?tags=team-a,team-b')).toEqual([])
    expect(await admin.names('/services?tags=team-a/team-b')).toEqual(['a', 'b'])
    expect(await admin.names('/consumers?tags=eu')).toEqual(['a', 'b'])
  })

  test('is narrowed by names, custom ids and references', async () => {
    await using admin = await filled()
    expect(await admin.names('/consumers?custom_id=c-b')).toEqual(['b'])
    expect(await admin.names('/consumers?username=c')).toEqual(['c'])
    expect(await admin.names('/services?name=a&tags=team-b')).toEqual([])
    const { id } = recordOf(await admin.call('GET', '/services/b'))
    await admin.call('POST', '/services/b/plugins', { form: ['name=canary', 'config.upstream_port=1'] })
    expect(listOf(await admin.call('GET', `/plugins?service_id=${id}&enabled=true`)).data).toHaveLength(1)
    expect(listOf(await admin.call('GET', '/plugins?enabled=false')).data).toEqual([])
    expect(listOf(await admin.call('GET', '/services/b/plugins?name=canary')).data).toHaveLength(1)
  })

  test('refuses what it does not know, what says nothing and what is said twice', async () => {
    await using admin = await filled()
    for (const [path, fields] of [
      ['/services?team=a', { team: 'is no parameter of this path' }],
      ['/services?custom_id=c-1', { custom_id: 'is no parameter of this path' }],
      ['/consumers?custom_id=', { custom_id: 'must not be empty' }],
      ['/services?tags=', { tags: 'must not be empty' }],
      ['/services?tags=a,b/c', { tags: 'invalid filter syntax' }],
      ['/services?tags=a,', { tags: 'invalid filter syntax' }],
      ['/services?tags=a&tags=b', { tags: 'is given more than once' }],
      ['/canaries?tags=a', { tags: 'is no parameter of this path' }],
      ['/audit?since=1', { since: 'is no parameter of this path' }],
      ['/upstreams?name=x', { name: 'is no parameter of this path' }],
      ['/services?__proto__=1', { __proto__: 'is no parameter of this path' }],
    ] as const) {
      const { status, body } = await admin.call('GET', path)
      const [[name, message] = ['', '']] = Object.entries(fields)
      const shown = name === '' ? '__proto__: is no parameter of this path' : `${name}: ${message}`
      expect([path, status, body]).toMatchObject([
        path,
        400,
        { code: 11, name: 'invalid options', message: `invalid option (${shown})` },
      ])
    }
    expect(await admin.call('GET', '/services?b=1&a=2')).toMatchObject({
      body: { message: '2 invalid options (a: is no parameter of this path; b: is no parameter of this path)' },
    })
  })

  test('of ten thousand services with a tag is found page by page', async () => {
    await using admin = await openAdmin()
    await admin.registry.change('test', (draft) => {
      for (let i = 0; i < 10_000; i += 1)
        draft.create('services', { host: 'h', tags: [i % 1000 === 7 ? 'rare' : 'often'] })
    })
    expect(listOf(await admin.call('GET', '/services?tags=rare')).data).toHaveLength(10)
    const first = listOf(await admin.call('GET', '/services?tags=rare&size=7'))
    expect(listOf(await admin.call('GET', first.next ?? '')).data).toHaveLength(3)
  })
})

describe('/tags', () => {
  const page = z.object({
    data: z.array(z.object({ tag: z.string(), entity_name: z.string(), entity_id: z.string() })),
    next: z.string().nullable(),
  })

  test('lists each tag with what has it, page by page', async () => {
    await using admin = await filled()
    const seen: string[] = []
    for (let next: string | null = '/tags?size=3'; next !== null;) {
      const { data, next: following } = page.parse((await admin.call('GET', next)).body)
      seen.push(...data.map(({ tag, entity_name }) => `${entity_name} ${tag}`))
      next = following
    }
    const tags = ['eu', 'eu', 'team-a', 'team-b', 'team-c']
    expect(seen.toSorted()).toEqual([...tags.map((tag) => `consumers ${tag}`), ...tags.map((tag) => `services ${tag}`)])
    const { id } = recordOf(await admin.call('GET', '/services/c'))
    const { data } = page.parse((await admin.call('GET', '/tags/team-c')).body)
    expect(data).toContainEqual({ tag: 'team-c', entity_name: 'services', entity_id: id })
    expect(data).toHaveLength(2)
    expect(page.parse((await admin.call('GET', '/tags/nobody')).body)).toEqual({ data: [], next: null })
    expect(await admin.call('GET', '/tags?offset=x')).toMatchObject({ status: 400, body: { code: 7 } })
  })
})

describe('a hostile body', () => {
  test('of a hundred thousand form fields is refused with a short answer', async () => {
    await using admin = await openAdmin()
    const text = Array.from({ length: 100_000 }, (_, i) => `f${i}=1`).join('&')
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    expect(await send(admin.url, 'POST', '/services', { text, headers })).toMatchObject({
      status: 400,
      body: { message: 'Form body has too many fields' },
    })
  })

  test('of many JSON values is refused, and 20 violations at most are listed', async () => {
    await using admin = await openAdmin()
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, i]))
    expect(await admin.call('POST', '/services', { json: many(50_000) })).toMatchObject({
      status: 400,
      body: { message: 'JSON body has too many values' },
    })
    const { status, body } = await admin.call('POST', '/services', { json: { ...many(9000), host: 'h' } })
    expect([status, body]).toMatchObject([
      400,
      { message: expect.stringMatching(/^9000 schema violations \(f0: unknown field; .*; and 8980 more\)$/) },
    ])
    expect(Object.keys(z.object({ fields: z.looseObject({}) }).parse(body).fields)).toHaveLength(20)
    const groups = { name: 'canary', config: { upstream_port: 1, groups: Array.from({ length: 9000 }, () => 1) } }
    const long = await admin.call('POST', '/plugins', { json: groups })
    expect(JSON.stringify(long.body).length).toBeLessThan(3000)
  })

  test('of many parts, of files, or cut in the middle is refused', async () => {
    await using admin = await openAdmin()
    const headers = { 'content-type': 'multipart/form-data; boundary=x' }
    const part = (i: number) => `--x\r\ncontent-disposition: form-data; name="f${i}"\r\n\r\n1\r\n`
    const parts = `${Array.from({ length: 5000 }, (_, i) => part(i)).join('')}--x--\r\n`
    expect(await admin.call('POST', '/services', { text: parts, headers })).toMatchObject({
      status: 400,
      body: { message: 'Form body has too many fields' },
    })
    const file = '--x\r\ncontent-disposition: form-data; name="host"; filename="a"\r\n\r\nh\r\n--x--\r\n'
    for (const text of [file, part(0), 'nonsense']) {
      expect(await admin.call('POST', '/services', { text, headers })).toMatchObject({
        status: 400,
        body: { message: 'Cannot parse form body' },
      })
    }
  })

  test('of one list without end is refused as too long', async () => {
    await using admin = await openAdmin()
    const form = ['name=canary', 'config.upstream_port=1', `config.groups=${'a,'.repeat(100_000)}`]
    expect(await admin.call('POST', '/plugins', { form })).toMatchObject({
      status: 400,
      body: { message: 'schema violation (config.groups: length must be at most 1000)' },
    })
  })
})
