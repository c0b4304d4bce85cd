import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { listenAdmin } from '@canary-release/admin'
import { type Registry, type Store, createRegistry, fileStore } from '@canary-release/core/registry'
import { type PostgresStoreOptions, migrations, postgresStore } from '@canary-release/postgres'
import { type RedisStoreOptions, redisStore } from '@canary-release/redis'
import { type PostgresServer, startPostgres } from '../servers/postgres.js'
import { freePorts, until } from '../servers/processes.js'
import { type RedisServer, startRedis, startSentinel } from '../servers/redis.js'
import { requireBinary } from '../servers/requirement.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '..', '..')
const page = readFileSync(join(root, 'docs', 'several-processes.md'), 'utf8')
const describeWithRedis = requireBinary('redis-server')
const describeWithPostgres = requireBinary('postgres')

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

async function redis(settings?: Parameters<typeof startRedis>[0]): Promise<RedisServer> {
  const server = await startRedis(settings)
  closing.push(() => server[Symbol.asyncDispose]())
  return server
}

async function postgres(): Promise<PostgresServer> {
  const server = await startPostgres()
  closing.push(() => server[Symbol.asyncDispose]())
  return server
}

async function sql(url: string, text: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query(text).finally(() => client.end())
}

async function opened(store: Store): Promise<Registry> {
  const registry = await createRegistry({ store, logger: { info() {}, warn() {}, error() {} } })
  closing.push(() => registry.close())
  return registry
}

/** A block of the page by its kind: what stands in its comment, or its language. */
function block(kind: string): string {
  const marked = new RegExp(`(?:<!-- run: ${kind} -->\n\`\`\`\\w+|\`\`\`${kind})\n([\\s\\S]*?)\`\`\``).exec(page)
  return marked?.[1] ?? expect.fail(`the page has no block ${kind}`)
}

/** Runs a block of JavaScript as a program of its own. */
async function run(code: string): Promise<string> {
  const folder = mkdtempSync(join(here, '.page-'))
  closing.push(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'program.mjs'), code)
  const child = spawn(process.execPath, ['program.mjs'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)))
  expect((await once(child, 'close'))[0], said).toBe(0)
  return said
}

/** Runs a line of the shell that asks an Admin API. */
async function curl(line: string, url: string): Promise<Record<string, unknown>> {
  const real = line.replace('http://localhost:8001', url)
  const child = spawn('sh', ['-c', `${real} --silent --show-error --fail-with-body`], { stdio: ['ignore', 'pipe', 'inherit'] }) // prettier-ignore
  let text = ''
  child.stdout.on('data', (chunk) => (text += String(chunk)))
  const [status] = await once(child, 'close')
  expect([line, status, text]).toEqual([line, 0, expect.stringMatching(/^\{/)])
  return JSON.parse(text)
}

/** What opening a registry says; the page must have a line of it. */
async function refusal(open: () => Store): Promise<string> {
  try {
    await (await createRegistry({ store: open(), logger: { info() {}, warn() {}, error() {} } })).close()
  } catch (error) {
    return error instanceof Error && 'code' in error ? `${String(error.code)} ${error.message}` : String(error)
  }
  return 'nothing'
}

/** The texts of the page's table of errors. */
const lines = [...page.slice(page.indexOf('## Errors at the start')).matchAll(/^\| `([^`]+)` \| [^|]+ \| [^|]+ \|$/gm)]
const texts = lines.map(([, text = '']) => text)

/** Checks that each fault is a clear error with a line of its own; returns what was left over. */
async function checkFaults(faults: readonly (readonly [string, () => Store])[]): Promise<void> {
  for (const [text, open] of faults) {
    expect(texts).toContain(text)
    const said = await refusal(open)
    expect(said).toContain(text)
    expect(said).toMatch(/^ERR_CANARY_STORE /)
    expect(said).not.toContain('s3cret')
  }
}

describe('the page about several processes', () => {
  test('says of each block how it is run', () => {
    const kinds = [...page.matchAll(/(?:<!-- run: (\S+) -->\n)?```(\w*)\n/g)]
      .map(([, kind, language]) => kind ?? language)
      .filter((kind) => kind !== '')
    expect(kinds).toEqual(['redis', 'sentinel', 'postgres', 'sql', 'curl', 'accept'])
  })

  test('gives the ACL rule that the store is tested with', () => {
    const readme = readFileSync(join(root, 'packages/redis/README.md'), 'utf8')
    const [rule = 'none'] = /^ACL SETUSER .*$/m.exec(readme) ?? []
    expect(page).toContain(`\n${rule}\n`)
  })

  test('gives losses as they were measured', () => {
    const notes = readFileSync(join(root, 'bench/NOTES.md'), 'utf8')
    const measured = [...page.matchAll(/\| (0 of [\d ]+) \|/g)].map(([, figure = '']) => figure)
    expect(measured).toHaveLength(4)
    for (const figure of measured) expect(notes).toContain(figure)
    expect(notes).toContain('One of five runs of the crash test on a loaded machine lost one')
    expect(existsSync(join(root, 'bench/fleet/main.ts'))).toBe(true)
  })

  test('points to what is there', () => {
    const anchors = [...page.matchAll(/^#+ (.+)$/gm)].map(
      ([, heading = '']) =>
      `#${heading.toLowerCase().replaceAll(/[^\w\- ]/g, '').replaceAll(' ', '-')}`, // prettier-ignore
    )
    for (const [, target = ''] of page.matchAll(/\]\(([^)]+)\)/g)) {
      if (target.startsWith('#')) expect(anchors).toContain(target)
      else expect(existsSync(join(root, 'docs', target)), target).toBe(true)
    }
  })

  test('has no line of an error that no store gives', () => {
    const sources = ['redis/src/faults.ts', 'redis/src/demands.ts', 'postgres/src/faults.ts', 'postgres/src/opening.ts']
      .map((file) => readFileSync(join(root, 'packages', file), 'utf8').replaceAll(/' \+\s+'/g, ''))
      .join()
    expect(texts.length).toBeGreaterThan(20)
    const given = (text: string) =>
      sources.includes(text.replace('6.2', "${LEAST_VERSION.join('.')}").replace('write 1', 'write ${replicas}'))
    expect(texts.filter((text) => !given(text))).toEqual([])
  })

  test('has a line for each reason why a file is refused', async () => {
    const folder = mkdtempSync(join(here, '.files-'))
    closing.push(() => rmSync(folder, { recursive: true }))
    const damaged = join(folder, 'damaged.json')
    writeFileSync(damaged, '{\n')
    const faults = [
      ['is a directory, not a file', folder],
      ['is a device, not a file', '/dev/null'],
      ['line 2, column 1: expected', damaged],
    ] as const
    for (const [text, path] of faults) {
      expect(await refusal(() => fileStore(path))).toMatch(new RegExp(`^ERR_CANARY_STORE ${path}.*${text}`))
      expect(page).toContain(`\`${text}\``)
    }
    const registry = await opened(fileStore(join(folder, 'none', 'canaries.json')))
    const change = registry.change('deploy', (draft) => draft.create('services', { name: 'orders', url: 'http://a:1' }))
    await expect(change).rejects.toMatchObject({
      code: 'ERR_CANARY_STORE',
      outcome: 'not-written',
      message: expect.stringMatching(/cannot be written$/),
    })
    expect(page).toContain('| `cannot be written`, at the first change |')
  })

  test('says of a URL of another scheme what it must be, without showing it', async () => {
    const url = 'http://me:s3cret@localhost'
    for (const open of [() => redisStore({ url }), () => postgresStore({ connectionString: url })]) {
      const said = await refusal(open)
      expect(said).toMatch(/^ERR_CANARY_OPTION .*must be a URL that begins with (?:redis|postgres):\/\//)
      expect(said).not.toContain('s3cret')
    }
    expect(page).toContain('must be a URL that begins with redis://')
  })
})

describeWithRedis('the page about several processes, on Redis', () => {
  test('has programs that run', { timeout: 60_000 }, async () => {
    const server = await redis({ 'min-replicas-to-write': '1' })
    await redis({ replicaof: `127.0.0.1 ${server.port}` })
    await server.command('ACL', 'SETUSER', 'canary', 'on', '>secret', '~*', '+@all')
    const folder = mkdtempSync(join(here, '.sentinel-'))
    closing.push(() => rmSync(folder, { recursive: true }))
    const [port = 0] = await freePorts(1)
    const file = join(folder, 'sentinel.conf')
    writeFileSync(file, `sentinel monitor canary 127.0.0.1 ${server.port} 1\n`)
    const sentinel = await startSentinel(file, port)
    closing.push(() => sentinel[Symbol.asyncDispose]())
    expect(await run(block('redis').replace('redis://localhost:6379', server.url))).toBe('true\n')
    const code = block('sentinel').replace("host: 'localhost', port: 26379", `host: '127.0.0.1', port: ${port}`)
    expect(await run(code)).toBe('')
  })

  test('has commands that say how it stands, and take what is stored', { timeout: 60_000 }, async () => {
    const server = await redis()
    const registry = await opened(redisStore({ url: server.url }))
    const service = { name: 'orders', url: 'http://a:1' }
    await registry.change('deploy', (draft) => draft.create('services', service))
    const admin = await listenAdmin({ registry, port: 0 })
    closing.push(() => admin.close())
    const [status = '', ...others] = block('curl').trim().split('\n')
    expect(await curl(status, admin.url)).toMatchObject({ store: { connected: true, rewound: null } })
    for (const line of others) expect(await curl(line, admin.url)).toHaveProperty('data')

    await server.command('FLUSHALL')
    const other = await opened(redisStore({ url: server.url }))
    await other.change('deploy', (draft) => draft.create('services', { ...service, name: 'other' }))
    await until(() => registry.storeStatus.rewound !== null, 'it is seen that the store is another one')
    const { store } = await curl(status, admin.url)
    expect(store).toMatchObject({ rewound: { known: { version: 1 }, stored: { version: 1 } } })
    expect(registry.get('services', 'orders')).not.toBeNull()
    const stored = JSON.stringify(registry.storeStatus.rewound?.stored)
    await curl(
      block('accept')
        .trim()
        .replace(/\{.*\}/, stored),
      admin.url,
    )
    expect(registry.get('services', 'other')).not.toBeNull()
    expect(registry.storeStatus.rewound).toBeNull()
  })

  test('has a line for each reason not to begin', { timeout: 120_000 }, async () => {
    const store =
      (url: string, options: RedisStoreOptions = {}) =>
      () =>
        redisStore({ url, ...options })
    const fit = await redis()
    const closed = await redis({ requirepass: 's3cret' })
    const [nowhere] = await freePorts(1)
    await fit.command('ACL', 'SETUSER', 'poor', 'on', '>s3cret', '~other', '+info')
    await fit.command('SET', '{canary:foreign}:head', 'mine')
    await (
      await opened(redisStore({ url: fit.url, name: 'newer' }))
    ).change('deploy', (draft) => draft.create('services', { name: 'orders', url: 'http://a:1' }))
    await fit.command('HSET', '{canary:newer}:head', 'format', '9')
    const old = createServer((socket) => {
      const info = 'redis_version:5.0.14\r\nrole:master\r\n'
      socket.on('error', () => socket.destroy())
      socket.on('data', (chunk) =>
        socket.write(`$${info.length}\r\n${info}\r\n`.repeat(String(chunk).match(/^\*\d+\r$/gm)?.length ?? 1)),
      )
    })
    const silent = createServer(() => undefined)
    for (const server of [old, silent]) {
      await once(server.listen(0, '127.0.0.1'), 'listening')
      closing.push(() => server.close())
    }
    const urlOf = (server: typeof old) => `redis://127.0.0.1:${(server.address() as AddressInfo).port}`
    await checkFaults([
      ['Redis cannot be reached', store(`redis://me:s3cret@127.0.0.1:${nowhere}`)],
      ['did not answer in time', store(urlOf(silent))],
      ['Redis 6.2 or newer, or Valkey, is needed', store(urlOf(old))],
      ['set "appendonly yes"', store((await redis({ appendonly: 'no' })).url)],
      ['set "maxmemory-policy noeviction"', store((await redis({ 'maxmemory-policy': 'allkeys-lru' })).url)],
      ['set "min-replicas-to-write 1"', store(fit.url, { replicas: 1 })],
      ['is a replica', store((await redis({ replicaof: `127.0.0.1 ${fit.port}` })).url)],
      ['Redis asks for a password', store(closed.url)],
      ['refused the user name or password', store(`redis://me:s3cretly@127.0.0.1:${closed.port}`)],
      ['the user of Redis may not run what the store needs', store(`redis://poor:s3cret@127.0.0.1:${fit.port}`)],
      ['other data under the keys of this store', store(fit.url, { name: 'foreign' })],
      ['written by another version', store(fit.url, { name: 'newer' })],
    ])
  })
})

describeWithPostgres('the page about several processes, on PostgreSQL', () => {
  test('has a program that runs, and grants that suffice', { timeout: 60_000 }, async () => {
    const server = await postgres()
    const code = block('postgres').replace('postgres://postgres@localhost:5432/postgres', server.url)
    expect(await run(code)).toBe('true\n')
    await sql(server.url, 'DROP SCHEMA canary CASCADE; CREATE ROLE gateway LOGIN')
    for (const migration of migrations()) await sql(server.url, migration)
    const store = () => postgresStore({ connectionString: `postgres://gateway@127.0.0.1:${server.port}/postgres` })
    expect(await refusal(store)).toContain('lacks rights')
    await sql(server.url, block('sql'))
    const registry = await opened(store())
    await registry.change('deploy', (draft) => draft.create('services', { name: 'orders', url: 'http://a:1' }))
    expect(await registry.audit({ limit: 1 })).toHaveLength(1)
  })

  test('has a line for each reason not to begin', { timeout: 120_000 }, async () => {
    const server = await postgres()
    const [nowhere] = await freePorts(1)
    const url = (user = 'postgres', database = 'postgres') => `postgres://${user}@127.0.0.1:${server.port}/${database}`
    const store =
      (connectionString: string, options: PostgresStoreOptions = {}) =>
      () =>
        postgresStore({ connectionString, ...options })
    await sql(
      server.url,
      `CREATE ROLE poor LOGIN; CREATE ROLE isolated LOGIN; CREATE ROLE reading LOGIN;
       ALTER ROLE isolated SET default_transaction_isolation = 'serializable';
       ALTER ROLE reading SET default_transaction_read_only = on;
       CREATE SCHEMA mine; CREATE TABLE mine.canary_head (name text)`,
    )
    // A server that asks for passwords; it reads its file again a moment later.
    await sql(server.url, "CREATE ROLE secretive LOGIN PASSWORD 'right'")
    const access = join(server.folder, 'pg_hba.conf')
    writeFileSync(access, `host all secretive all scram-sha-256\n${readFileSync(access, 'utf8')}`)
    await sql(server.url, 'SELECT pg_reload_conf()')
    const secretive = store(url('secretive:s3cret'))
    await until(async () => (await refusal(secretive)).includes('password'), 'it asks for passwords')
    await sql(server.url, "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    const standby = await server.standby()
    closing.push(() => standby[Symbol.asyncDispose]())
    await checkFaults([
      ['the PostgreSQL server does not answer', store(`postgres://me:s3cret@127.0.0.1:${nowhere}/postgres`)],
      ['is not a URL', store('postgres://me:s3cret@host:port/postgres')],
      ['refused the user', store(url('nobody'))],
      ['refused the password', secretive],
      ['the database does not exist', store(url('postgres', 'nowhere'))],
      ['the PostgreSQL user lacks rights', store(url('poor'))],
      ['not what this package makes', store(server.url, { schema: 'mine' })],
      ['is read-only, a standby', store(standby.url)],
      ['must have the encoding UTF8', store(url('postgres', 'latin'))],
      ['default_transaction_isolation must be "read committed"', store(url('isolated'))],
      ['default_transaction_read_only must be off', store(url('reading'))],
    ])
  })
})
