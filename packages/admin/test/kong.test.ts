import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { createContract } from './contract.js'
import { type OpenAdmin, listOf, openAdmin, recordOf, send } from './client.js'

const run = promisify(execFile)

interface Answered {
  readonly status: number
  readonly body: unknown
}

type Curl = (command: string, placeholders?: Readonly<Record<string, string>>) => Promise<Answered>

/** Runs a command as it is printed, its placeholders filled in, and checks the answer against the document. */
async function shell(admin: OpenAdmin): Promise<Curl> {
  const check = createContract((await send(admin.url, 'GET', '/openapi.json')).body)
  const { port } = new URL(admin.url)
  return async (command, placeholders = {}) => {
    let filled = command.replaceAll('localhost:8001', `localhost:${port}`)
    for (const [name, value] of Object.entries(placeholders)) filled = filled.replaceAll(name, value)
    const { stdout } = await run('sh', ['-c', `${filled} --silent --include --noproxy '*'`])
    const split = stdout.indexOf('\r\n\r\n')
    const [start = '', ...lines] = stdout.slice(0, split).split('\r\n')
    const text = stdout.slice(split + 4)
    const headers = Object.fromEntries(lines.map((line) => line.split(/: (.*)/s).slice(0, 2)))
    const status = Number(start.split(' ')[1])
    const method = / -X (\w+)/.exec(filled)?.[1] ?? (/ --?d/.test(filled) ? 'POST' : 'GET')
    const [, path = ''] = /localhost:\d+(\/[^\s"']*)/.exec(filled) ?? []
    const body: unknown = text === '' ? null : JSON.parse(text)
    const names = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)])
    check({ method, path, sent: undefined, status, headers: Object.fromEntries(names), body })
    return { status, body }
  }
}

/** A service, a route, a consumer and a legacy api, made as Kong's guides make them. */
async function withRecords() {
  const admin = await openAdmin()
  const curl = await shell(admin)
  await curl('curl -i -X POST http://localhost:8001/services --data name=orders --data url=http://orders-v1:3000/base')
  await curl('curl -i -X POST http://localhost:8001/services/orders/routes --data "paths[]=/orders" --data name=all')
  await curl('curl -i -X POST http://localhost:8001/consumers/ --data "username=alice" --data "custom_id=17"')
  await curl(
    'curl -i -X POST http://localhost:8001/apis/ --data name=old --data upstream_url=http://old:80 --data uris=/old',
  )
  const idOf = async (path: string) => recordOf(await admin.call('GET', path)).id
  const ids = {
    SERVICE_ID: await idOf('/services/orders'),
    ROUTE_ID: await idOf('/routes/all'),
    CONSUMER_ID: await idOf('/consumers/alice'),
    API_ID: await idOf('/apis/old'),
  }
  return { ...admin, curl, ids }
}

const B = '--data "config.upstream_host=orders-v2"'
const BARE = {
  status: 400,
  body: {
    code: 2,
    name: 'schema violation',
    message:
      "schema violation (at least one of these fields must be non-empty: 'config.upstream_uri', 'config.upstream_host', 'config.upstream_port')",
    fields: {
      '@entity': [
        "at least one of these fields must be non-empty: 'config.upstream_uri', 'config.upstream_host', 'config.upstream_port'",
      ],
    },
  },
}

describe("the commands of Kong's canary page", () => {
  const scopes = [
    ['a service', 'POST http://localhost:8001/services/orders/plugins --data "name=canary"', ['service']],
    ['a service by id', 'POST http://localhost:8001/services/SERVICE_ID/plugins/ --data "name=canary"', ['service']],
    ['a route', 'POST http://localhost:8001/routes/ROUTE_ID/plugins --data "name=canary"', ['route']],
    ['a consumer', 'POST http://localhost:8001/consumers/alice/plugins --data "name=canary"', ['consumer']],
    [
      'a consumer, by old name',
      'POST http://localhost:8001/plugins --data "name=canary" --data "consumer_id=CONSUMER_ID"',
      ['consumer'],
    ],
    [
      'a consumer, by new name',
      'POST http://localhost:8001/plugins --data "name=canary" --data "consumer.id=CONSUMER_ID"',
      ['consumer'],
    ],
    [
      'a consumer with a service, by old names',
      'POST http://localhost:8001/plugins --data "name=canary" --data "consumer_id=CONSUMER_ID" --data "service_id=SERVICE_ID"',
      ['consumer', 'service'],
    ],
    [
      'a consumer with a service, by new names',
      'POST http://localhost:8001/plugins --data "name=canary" --data "consumer.username=alice" --data "service.name=orders"',
      ['consumer', 'service'],
    ],
    [
      'a consumer with a service, by its path',
      'POST http://localhost:8001/services/orders/plugins --data "name=canary" --data "consumer_id=CONSUMER_ID"',
      ['consumer', 'service'],
    ],
    [
      'a route with a service',
      'POST http://localhost:8001/plugins --data "name=canary" --data "route_id=ROUTE_ID" --data "service_id=SERVICE_ID"',
      ['route', 'service'],
    ],
    ['a legacy api', 'POST http://localhost:8001/apis/old/plugins --data "name=canary"', ['api']],
    [
      'a legacy api, by old name',
      'POST http://localhost:8001/plugins --data "name=canary" --data "api_id=API_ID"',
      ['api'],
    ],
    ['nothing: global', 'POST http://localhost:8001/plugins/ --data "name=canary"', []],
  ] as const

  for (const [scope, command, fields] of scopes) {
    test(`put a canary on ${scope}, and refuse the bare form`, async () => {
      await using admin = await withRecords()
      const { curl, ids } = admin
      expect(await curl(`curl -X ${command}`, ids)).toEqual(BARE)
      const { status, body } = await curl(`curl -X ${command} ${B}`, ids)
      expect(status).toBe(201)
      const { API_ID, CONSUMER_ID, ROUTE_ID, SERVICE_ID } = ids
      const all: Record<string, string> = { api: API_ID, consumer: CONSUMER_ID, route: ROUTE_ID, service: SERVICE_ID }
      for (const [field, id] of Object.entries(all)) {
        const on = fields.some((name) => name === field)
        if (!on && field === 'api') expect(body).not.toHaveProperty('api')
        else expect(body).toHaveProperty(field, on ? { id } : null)
      }
      expect(body).toMatchObject({ name: 'canary', enabled: true, config: { upstream_host: 'orders-v2', steps: 1000 } })
    })
  }

  test('make a linear release from old parameters and from new ones', async () => {
    await using admin = await withRecords()
    const { curl } = admin
    const old = await curl(
      `curl -X POST http://localhost:8001/services/orders/plugins \\
        --data "name=canary" \\
        --data "config.start=1700000000" \\
        --data "config.duration=7200" \\
        --data "config.steps=100" \\
        --data "config.hash=whitelist" \\
        --data "config.groups[]=internal" --data "config.groups[]=beta" \\
        --data "config.upstream_host=orders-v2" \\
        --data "config.upstream_port=3001" \\
        --data "config.upstream_uri=/v2" \\
        --data "config.upstream_fallback=false" \\
        --data "enabled=true"`,
    )
    expect(old).toMatchObject({
      status: 201,
      body: {
        config: {
          start: 1_700_000_000,
          duration: 7200,
          steps: 100,
          hash: 'allow',
          groups: ['internal', 'beta'],
          upstream_host: 'orders-v2',
          upstream_port: 3001,
          upstream_uri: '/v2',
          upstream_fallback: false,
          percentage: null,
        },
      },
    })
    const json = await curl(
      `curl -i -X POST http://localhost:8001/routes/all/plugins/ \\
        --header "accept: application/json" \\
        --header "Content-Type: application/json" \\
        --data '{
          "name": "canary",
          "instance_name": "orders-by-header",
          "tags": ["shop"],
          "config": {
            "percentage": 12.5,
            "hash": "header",
            "hash_header": "x-tenant",
            "canary_by_header_name": "x-canary",
            "upstream_host": "orders-v2"
          }
        }'`,
    )
    expect(json).toMatchObject({
      status: 201,
      body: {
        instance_name: 'orders-by-header',
        tags: ['shop'],
        config: { percentage: 12.5, hash_header: 'x-tenant' },
      },
    })
  })

  test('change, look at, finish and remove a canary', async () => {
    await using admin = await withRecords()
    const { curl, call } = admin
    const made = await curl(
      `curl -X POST http://localhost:8001/services/orders/plugins --data "name=canary" --data "config.percentage=10" ${B}`,
    )
    const { id } = recordOf(made)
    const PLUGIN = { PLUGIN_ID: id }
    const change = 'curl -X PATCH http://localhost:8001/services/orders/plugins/PLUGIN_ID --data "config.percentage=25"'
    expect(await curl(change, PLUGIN)).toMatchObject({
      status: 200,
      body: { config: { percentage: 25, upstream_host: 'orders-v2' } },
    })
    expect(await curl('curl -X GET http://localhost:8001/plugins/PLUGIN_ID', PLUGIN)).toMatchObject({
      status: 200,
      body: { id },
    })
    expect(await curl('curl http://localhost:8001/plugins/')).toMatchObject({
      status: 200,
      body: { data: [{ id }], next: null },
    })
    // Kong's two steps: location A becomes B's, then the plugin goes.
    expect(
      await curl('curl -X PATCH http://localhost:8001/services/orders --data "url=http://orders-v2:3000/base"'),
    ).toMatchObject({
      status: 200,
      body: { host: 'orders-v2', port: 3000, path: '/base', protocol: 'http' },
    })
    expect(await curl('curl -X DELETE http://localhost:8001/plugins/PLUGIN_ID', PLUGIN)).toEqual({
      status: 204,
      body: null,
    })
    expect(await curl('curl -i -X DELETE http://localhost:8001/plugins/PLUGIN_ID/', PLUGIN)).toEqual({
      status: 204,
      body: null,
    })
    expect(listOf(await call('GET', '/plugins')).data).toEqual([])
  })

  test('fix an omitted start when the record is created', async () => {
    const now = 1_800_000_000
    await using admin = await openAdmin({ clock: () => now * 1000 })
    const curl = await shell(admin)
    expect(await curl(`curl -X POST http://localhost:8001/plugins --data name=canary ${B}`)).toMatchObject({
      status: 201,
      body: { config: { start: now, duration: 3600, percentage: null }, created_at: now },
    })
  })
})
