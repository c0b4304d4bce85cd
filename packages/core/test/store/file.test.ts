import { mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { NOWHERE, type Registry, type Store, createRegistry, fileStore } from '@canary-release/core/registry'
import { mountOn } from '@canary-release/core/registry/internal'
import { CANARY, SILENT, T0, addOrders, changed, clockAt, disposable } from '../registry/harness.js'
import { type StorePlace, listening, proposalOf, runStoreSuite, saved } from './suite.js'

async function directory() {
  const path = await mkdtemp(join(tmpdir(), 'canary-store-'))
  return { path, file: join(path, 'registry.json'), [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

async function openOn(file: string, options: { readonly onError?: (error: unknown) => void } = {}) {
  return disposable(await createRegistry({ store: fileStore(file), logger: SILENT, ...options }), {})
}

/** As an editor saves: to another name, renamed over the file. */
async function edit(file: string, change: (text: string) => string): Promise<void> {
  await writeFile(`${file}.edit`, change(await readFile(file, 'utf8')))
  await rename(`${file}.edit`, file)
}

const storeCode = (message: RegExp) =>
  expect.objectContaining({ code: 'ERR_CANARY_STORE', message: expect.stringMatching(message) })

/** Stores that know of each other by the file alone. */
async function place(): Promise<StorePlace & { readonly file: string }> {
  const { file, [Symbol.asyncDispose]: remove } = await directory()
  const store = fileStore(file)
  const others: Store[] = []
  return {
    file,
    store,
    async another() {
      const other = fileStore(file)
      others.push(other)
      return other
    },
    trim: () => edit(file, (text) => text.replace('"port":80', '"port":81')),
    async [Symbol.asyncDispose]() {
      await Promise.all([store, ...others].map((each) => each.close()))
      await remove()
    },
  }
}

/** As an editor leaves it that was stopped midway. */
const damage = ({ file }: { readonly file: string }) => edit(file, (text) => text.slice(0, text.length / 2))

runStoreSuite('file', { open: place, damage }, () => {
  it('writes nothing after it was closed', async () => {
    await using place = await directory()
    const store = fileStore(place.file)
    const waiting = store.close()
    const closed = { code: 'ERR_CANARY_CLOSED' }
    await expect(store.save(proposalOf(NOWHERE))).rejects.toMatchObject(closed)
    await waiting
    await expect(store.load()).rejects.toMatchObject(closed)
    await expect(store.audit({ limit: 1 })).rejects.toMatchObject(closed)
    expect(() => store.watch(null, () => undefined)).toThrow(expect.objectContaining(closed))
    expect(await readdir(place.path)).toEqual([])
  })

  it('is for its owner only, and leaves nothing beside it', async () => {
    await using place = await directory()
    const store = fileStore(place.file)
    await store.load()
    await saved(store, proposalOf(NOWHERE))
    expect((await stat(place.file)).mode & 0o777).toBe(0o600)
    expect(await readdir(place.path)).toEqual(['registry.json'])
    await store.close()
  })

  it('takes an edit by hand, to the next request', async () => {
    await using place = await directory()
    await using registry = await openOn(place.file)
    await addOrders(registry)
    const mount = mountOn(registry, { service: 'orders' })
    await edit(place.file, (text) => text.replace('orders-v1', 'by-hand'))
    await changed(registry, 2)
    expect(mount.find('').place.A.hostname).toBe('by-hand')
    expect(registry.get('services', 'orders')?.revision).toBe(2)
    await registry.change('ops', (draft) => draft.patch('services', 'orders', { port: 81 }))
    expect(registry.get('services', 'orders')?.entity).toMatchObject({ host: 'by-hand', port: 81 })
  })

  const RAMP = { name: 'canary', instance_name: 'r', config: { upstream_host: 'v2', start: T0, duration: 1000 } }

  it('counts an edit by hand from when it is read, in every process, and stores what became of the release', async () => {
    await using place = await directory()
    const clock = clockAt(T0)
    const open = (readOnly: boolean) =>
      createRegistry({ store: fileStore(place.file, { readOnly }), logger: SILENT, clock })
    await using writer = disposable(await open(false), {})
    await writer.change('ops', (draft) => draft.create('plugins', RAMP))
    await using reader = disposable(await open(true), {})
    const shares = () => [writer, reader].map((registry) => registry.release('r')?.status().bucketsOnB)
    expect(shares()).toEqual([0, 0])
    for (const [seconds, from, to, bucketsOnB] of [
      [400, '"duration":1000', '"duration":4000', 400],
      [800, '"duration":4000', '"duration":40', 600],
      [0, '"steps":1000', '"steps":100', 60],
      [0, '"enabled":true', '"enabled":false', 0],
      [9, '"enabled":false', '"enabled":true', 60],
      [4, '"steps":100', '"steps":3', 3],
    ] as const) {
      clock.seconds += seconds
      const { version } = writer
      await edit(place.file, (text) => text.replace(from, to))
      // The edit, and then what became of the release.
      await Promise.all([changed(writer, version + 2), changed(reader, version + 2)])
      const [here, there] = shares()
      expect([here, there], to).toEqual([bucketsOnB, bucketsOnB])
      expect((await writer.audit())[0]).toMatchObject({
        by: 'hand edit',
        what: expect.stringMatching(/: edited by hand$/),
      })
      expect(writer.get('plugins', 'r')?.release).toEqual(reader.get('plugins', 'r')?.release)
      await using later = disposable(await open(true), {})
      expect(later.release('r')?.status().bucketsOnB, to).toBe(bucketsOnB)
    }
  })

  it('holds an edit by hand where nobody writes', async () => {
    await using place = await directory()
    const clock = clockAt(T0)
    const open = (readOnly: boolean) =>
      createRegistry({ store: fileStore(place.file, { readOnly }), logger: SILENT, clock })
    const writer = await open(false)
    await writer.change('ops', (draft) => draft.create('plugins', RAMP))
    await writer.close()
    await using reader = disposable(await open(true), {})
    clock.seconds += 500
    await edit(place.file, (text) => text.replace('"duration":1000', '"duration":2000'))
    await changed(reader, 2)
    expect(reader.release('r')?.status().bucketsOnB).toBe(500)
    clock.seconds += 100
    await edit(place.file, (text) => text.replace('"tags":null', '"tags":["x"]'))
    await changed(reader, 3)
    expect(reader.release('r')?.status()).toMatchObject({ bucketsOnB: 550, duration: 2000 })
    await edit(place.file, (text) => text.replace('"duration":2000', '"duration":100'))
    await changed(reader, 4)
    expect(reader.release('r')?.status()).toMatchObject({ bucketsOnB: 550, duration: 100 })
  })

  it('lets an edit by hand begin a release again by another start, and by nothing else after the guard', async () => {
    await using place = await directory()
    const clock = clockAt(T0)
    const store = fileStore(place.file)
    await using registry = disposable(await createRegistry({ store, logger: SILENT, clock }), {})
    await registry.change('ops', (draft) => draft.create('plugins', { ...CANARY, instance_name: 'r' }))
    registry.release('r')?.rollback('rolled back: B failed', 'guard')
    await changed(registry, 2)
    const before = await readFile(place.file, 'utf8')
    for (const [from, to] of [
      ['"percentage":10', '"percentage":20'],
      ['"duration":3600', '"duration":60'],
      ['"state":"rolled-back"', '"state":"running"'],
      [/"release":\{.*?\},/, ''],
    ] as const) {
      const { version } = registry
      await edit(place.file, (text) => text.replace(from, to))
      await changed(registry, version + 1)
      expect(registry.release('r')?.status(), to).toMatchObject({ state: 'rolled-back', by: 'guard' })
    }
    const { version } = registry
    await edit(place.file, (text) => text.replace('"start":null', `"start":${T0 + 1}`))
    await changed(registry, version + 2)
    expect(registry.release('r')?.status()).toMatchObject({ state: 'running', percentage: 20, bucketsOnB: 200 })
    expect(before).toContain('"percentage":10')
  })

  it('keeps what was done with a release since an editor was opened', async () => {
    await using place = await directory()
    const clock = clockAt(T0)
    const store = fileStore(place.file)
    await using registry = disposable(await createRegistry({ store, logger: SILENT, clock }), {})
    await registry.change('ops', (draft) => {
      draft.create('plugins', RAMP)
      return draft.create('consumers', { username: 'alice' })
    })
    const opened = await readFile(place.file, 'utf8')
    clock.seconds += 500
    await registry.change('ops', (draft) => draft.patch('plugins', 'r', { config: { duration: 2000 } }))
    registry.release('r')?.rollback('rolled back: B failed', 'guard')
    await changed(registry, 3)
    await edit(place.file, () => opened.replace('alice', 'bob'))
    await changed(registry, 4)
    expect(registry.get('consumers', 'bob')).not.toBeNull()
    expect(registry.get('plugins', 'r')).toMatchObject({
      entity: { config: { duration: 1000 } },
      release: { state: 'rolled-back', by: 'guard' },
    })
    expect(registry.release('r')?.decide().upstream).toBe('A')
  })

  it('never writes over an edit that it has not seen', async () => {
    await using place = await directory()
    const store = fileStore(place.file)
    await store.load()
    const at = await saved(store, proposalOf(NOWHERE))
    await edit(place.file, (text) => text.replace('"host":"host"', '"host":"by-hand"'))
    expect(await store.save(proposalOf(at))).toEqual({ kind: 'conflict', missed: null })
    const edited = await store.load()
    expect(edited).toMatchObject({ at: { version: 2 }, rows: [{ entity: { host: 'by-hand' } }] })
    expect(await saved(store, proposalOf(edited?.at ?? NOWHERE))).toMatchObject({ version: 3 })
    await store.close()
  })

  it('refuses a bad edit with its line, keeps the last good state in force, and takes the next good one', async () => {
    await using place = await directory()
    const failed: unknown[] = []
    let tell: () => void = () => undefined
    const failure = new Promise<void>((resolve) => (tell = resolve))
    await using registry = await openOn(place.file, {
      onError: (error) => {
        failed.push(error)
        tell()
      },
    })
    await addOrders(registry)
    const mount = mountOn(registry, { service: 'orders' })
    await edit(place.file, (text) => text.replace('"port":3000', '"port":99999'))
    await failure
    const reason = /registry\.json: line 8, column \d+: services\.0: .*port: value should be between 1 and 65535/
    expect(failed).toEqual([storeCode(reason)])
    expect(mount.find('').place.A.port).toBe(3000)
    await expect(registry.change('ops', (draft) => draft.patch('services', 'orders', { port: 1 }))).rejects.toThrow(
      storeCode(reason),
    )
    expect(await readFile(place.file, 'utf8')).toContain('99999')
    await edit(place.file, (text) => text.replace('99999', '4000'))
    await changed(registry, 2)
    expect(mount.find('').place.A.port).toBe(4000)
  })

  it('says so when its file is gone, and writes it again with the next change', async () => {
    await using place = await directory()
    let report: (error: unknown) => void = () => undefined
    const failure = new Promise<unknown>((resolve) => (report = resolve))
    await using registry = await openOn(place.file, { onError: (error) => report(error) })
    await addOrders(registry)
    await rm(place.file)
    expect(await failure).toEqual(storeCode(/is gone/))
    await registry.change('ops', (draft) => draft.patch('services', 'orders', { port: 1 }))
    expect(await readFile(place.file, 'utf8')).toContain('orders-v1')
  })

  for (const [what, damage, message] of [
    ['is empty', () => '', /line 1, column 1: expected a value, but the file ends/],
    [
      'ends midway',
      (text: string) => text.slice(0, text.length - 20),
      /line \d+, column \d+: .*(?:but the file ends|expected a value)/,
    ],
    [
      'has a comma too many',
      (text: string) => text.replace('"version": 2,', '"version": 2,,'),
      /line 4, column 16: expected a name in double quotes/,
    ],
    ['is no state', () => '[]', /line 1, column 1: .*expected/],
    [
      'is of another format',
      (text: string) => text.replace('canary-release registry 2', 'another registry 2'),
      /line 2, column 13: format: expected "canary-release registry 2"/,
    ],
    [
      'needs a newer reader',
      (text: string) => text.replace('registry 2', 'registry 9').replace('"min_reader": 2', '"min_reader": 8'),
      /line 2, column 13: min_reader: the file needs a newer version .* formats up to 2, not 8/,
    ],
    [
      'is of a newer format and does not say who may read it',
      (text: string) => text.replace('registry 2', 'registry 9').replace('"min_reader": 2,', ''),
      /line 2, column 13: min_reader: .* not 9/,
    ],
    [
      'has a version after which there may be no other',
      (text: string) => text.replace('"version": 2', '"version": 9007199254740991'),
      /line 4, column 14: version: value should be at most 1000000000000000/,
    ],
    [
      'has a revision that is too great',
      (text: string) => text.replace('"revision":1', '"revision":9007199254740991'),
      /line 8, column \d+: services\.0: .*revision: value should be at most 1000000000000000/,
    ],
    [
      'has an unknown field',
      (text: string) => text.replace('"version"', '"more": 1, "version"'),
      /line 4, column 11: more: unknown field/,
    ],
    [
      'has an unknown field in an entity',
      (text: string) => text.replace('"retries"', '"retrys"'),
      /line 8, column \d+: services\.0: schema violation \(retrys: unknown field\)/,
    ],
    [
      'hides a prototype',
      (text: string) => text.replace('"retries":5', '"__proto__":5'),
      /line 8, column \d+: services\.0: schema violation \(__proto__: unknown field\)/,
    ],
    [
      'has a plugin on a service that is not there',
      (text: string) => text.replace(/("plugins": \[\n.*"service":\{"id":")..../, '$10000'),
      /line \d+, column \d+: plugins\.0: the foreign key .* does not reference an existing 'services'/,
    ],
    [
      'has a percentage that reaches no bucket',
      (text: string) => text.replace('"percentage":10', '"percentage":0.001'),
      /line \d+, column \d+: plugins\.0: .*with steps 100000/,
    ],
    [
      'has a release in no state',
      (text: string) => text.replace('"state":"running"', '"state":"asleep"'),
      /line \d+, column \d+: plugins\.0: schema violation \(release: /,
    ],
    [
      'has the same entity twice',
      (text: string) => text.replace(/("services": \[\n)(.*)\n/, '$1$2,\n$2\n'),
      /line 9, column 11: services\.1: /,
    ],
    [
      'has no whole version',
      (text: string) => text.replace('"version": 2', '"version": 1.5'),
      /line 4, column 14: version: expected an integer/,
    ],
  ] as const) {
    it(`refuses to begin where the file ${what}, and says line and reason`, async () => {
      await using place = await directory()
      const registry = await openOn(place.file)
      await addOrders(registry)
      await registry.change('ops', (draft) => draft.create('plugins', CANARY, { kind: 'services', key: 'orders' }))
      await registry.close()
      const text = await readFile(place.file, 'utf8')
      const damaged = damage(text)
      expect(damaged).not.toBe(text)
      await writeFile(place.file, damaged)
      await expect(openOn(place.file)).rejects.toThrow(storeCode(message))
      expect(await readFile(place.file, 'utf8')).toBe(damaged)
    })
  }

  it('reads and watches without lock where it is read-only, and never writes', async () => {
    await using place = await directory()
    const writer = fileStore(place.file)
    const at = await saved(writer, proposalOf(NOWHERE))
    const reader = fileStore(place.file, { readOnly: true })
    expect((await reader.load())?.at).toEqual(at)
    await expect(reader.save(proposalOf(at))).rejects.toThrow(storeCode(/reading only/))
    const watcher = listening(reader, at)
    await saved(writer, proposalOf(at))
    await watcher.to(2)
    await reader.close()
    await writer.close()
  })

  it('cannot be written where its directory is not there', async () => {
    await using place = await directory()
    const store = fileStore(join(place.path, 'none', 'registry.json'))
    expect(await store.load()).toBeNull()
    await expect(store.save(proposalOf(NOWHERE))).rejects.toThrow(storeCode(/cannot be written/))
    await store.close()
  })

  it('warns once above 2000 entities', async () => {
    await using place = await directory()
    const warned: string[] = []
    const store = fileStore(place.file, { logger: { ...SILENT, warn: (message) => warned.push(message) } })
    await using registry: Registry & AsyncDisposable = disposable(await createRegistry({ store, logger: SILENT }), {})
    const add = (count: number) =>
      registry.change('ops', (draft) => {
        for (let i = 0; i < count; i += 1) draft.create('consumers', { custom_id: `${registry.version}-${i}` })
      })
    await add(2000)
    expect(warned).toEqual([])
    await add(1)
    await add(1)
    expect(warned).toEqual([expect.stringMatching(/holds 2001 entities and is rated for 2000/)])
  })
})
