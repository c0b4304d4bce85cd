import { mkdtemp, readFile, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import {
  NOWHERE,
  type Position,
  type Registry,
  type Store,
  createRegistry,
  fileStore,
} from '@canary-release/core/registry'
import { SILENT, changed } from '../registry/harness.js'
import { StoreProcess, program, seeded } from './processes.js'
import { type StorePlace, proposalOf, runStoreSuite, saved, service, uuid } from './suite.js'

async function directory() {
  const path = await mkdtemp(join(tmpdir(), 'canary-processes-'))
  return { path, file: join(path, 'registry.json'), [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

const processes: StoreProcess[] = []
afterAll(() => Promise.all(processes.map((each) => each.end())))

/** One store here, each other one in a process of its own. */
async function place(): Promise<StorePlace> {
  const { file, [Symbol.asyncDispose]: remove } = await directory()
  const store = fileStore(file)
  const others: Store[] = []
  return {
    store,
    async another() {
      const process = (processes[others.length] ??= new StoreProcess())
      const other = await process.open(file)
      others.push(other)
      return other
    },
    trim: async () => {
      await writeFile(file, (await readFile(file, 'utf8')).replace('"port":80', '"port":81'))
      await store.load()
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([store, ...others].map((each) => each.close()))
      await remove()
    },
  }
}

runStoreSuite('file of several processes', { open: place })

/** Writes a row that nobody else writes. */
async function saveApart(store: Store, base: Position, number: number): Promise<Position> {
  const id = uuid(number)
  const keys = [`services/${id}`]
  const changes = [{ kind: 'services', id, row: service(id, `host-${number}`) }] as const
  return saved(store, proposalOf(base, { reads: keys, writes: keys, changes }))
}

const LOCK = 'registry.json.lock'

/** As if nobody had renewed the lock for six seconds. */
async function age(file: string): Promise<void> {
  const then = Date.now() / 1000 - 6
  await utimes(`${file}.lock`, then, then)
}

/** How many points there are at which a change can be halted. */
async function countPoints(): Promise<number> {
  await using place = await directory()
  const store = fileStore(place.file)
  await saveApart(store, NOWHERE, 1)
  const said = await program('halting-process.js', place.file).line('calls')
  return Number(said.split(' ')[1])
}

describe('a process that is halted at any point of a change', { timeout: 240_000 }, () => {
  it('is killed: nothing promised is lost, the next one writes at once, and nothing is left over', async () => {
    const points = await countPoints()
    expect(points).toBeGreaterThan(10)
    let [written, locked, drafted] = [0, 0, 0]
    for (let point = 1; point <= points; point += 1) {
      await using place = await directory()
      const store = fileStore(place.file)
      await saveApart(store, NOWHERE, 1)
      const child = program('halting-process.js', place.file, 'SIGKILL', String(point))
      const where = await child.line('halts')
      await child.ended
      const left = await readdir(place.path)
      if (left.includes(LOCK)) locked += 1
      if (left.some((name) => name.endsWith('.tmp'))) drafted += 1
      const found = await store.load()
      const version = found?.at.version ?? 0
      expect([1, 2], where).toContain(version)
      expect(found?.rows, where).toHaveLength(version)
      written += version - 1
      const at = await saveApart(store, found?.at ?? NOWHERE, 2)
      expect(at.version, where).toBe(version + 1)
      expect((await store.load())?.rows, where).toHaveLength(version + 1)
      expect(await readdir(place.path), where).toEqual(['registry.json'])
    }
    // Otherwise this was no test of dying before and after the change is written, in the lock and with a draft.
    expect(written).toBeGreaterThan(0)
    expect(written).toBeLessThan(points - 5)
    expect(locked).toBeGreaterThan(5)
    expect(drafted).toBeGreaterThan(2)
  })

  it.each([1, 5])('is stopped while others make %i changes, goes on, and takes none of them back', async (count) => {
    const points = await countPoints()
    let [overtaken, held] = [0, 0]
    for (let point = 1; point <= points; point += 1) {
      await using place = await directory()
      const store = fileStore(place.file)
      let at = await saveApart(store, NOWHERE, 1)
      const child = program('halting-process.js', place.file, 'SIGSTOP', String(point))
      const where = await child.line('halts')
      if ((await readdir(place.path)).includes(LOCK)) {
        held += 1
        await age(place.file)
      }
      at = (await store.load())?.at ?? at
      for (let i = 0; i < count; i += 1) at = await saveApart(store, at, 2 + i)
      child.kill('SIGCONT')
      const [, kind, version] = (await child.line('answer')).split(' ')
      await child.ended
      expect(kind, where).toBe('saved')
      if (Number(version) === count + 2) overtaken += 1
      const found = await store.load()
      // The late one's change is there too: it was made on what the others did.
      expect(found?.at.version, where).toBe(count + 2)
      const hosts = found?.rows.map(({ entity }) => ('host' in entity ? entity.host : '')).toSorted()
      const apart = Array.from({ length: count + 1 }, (_, i) => `host-${i + 1}`)
      expect(hosts, where).toEqual([...apart, 'late'].toSorted())
      expect(await readdir(place.path), where).toEqual(['registry.json'])
    }
    expect(held).toBeGreaterThan(5)
    expect(overtaken).toBeGreaterThan(5)
    expect(overtaken).toBeLessThan(points)
  })
})

describe('processes that write one file', { timeout: 240_000 }, () => {
  const WRITERS = 4
  const ROUNDS = 8

  it('lose nothing that was promised while they are killed and begin again', async () => {
    await using place = await directory()
    await saveApart(fileStore(place.file), NOWHERE, 1)
    const random = seeded(11)
    const promised: number[] = Array.from({ length: WRITERS }, () => 0)
    let met = 0
    for (let round = 0; round < ROUNDS; round += 1) {
      const writers = promised.map((_, lane) => program('writing-process.js', place.file, String(lane)))
      await Promise.all(writers.map((writer) => writer.line('')))
      const ends = writers.map(async (writer, lane) => {
        await after(random() * 200)
        writer.kill('SIGKILL')
        const lines = await writer.ended
        const last = Number(lines.at(-1)?.split(' ')[0])
        expect(last).toBeGreaterThan(promised[lane] ?? 0)
        promised[lane] = last
        // Versions that it did not make itself, between its own.
        const versions = lines.map((line) => Number(line.split(' ')[1]))
        if (versions.some((version, i) => i > 0 && version > (versions[i - 1] ?? 0) + 1)) met += 1
      })
      await Promise.all(ends)
    }
    const state = await fileStore(place.file).load()
    for (const [lane, least] of promised.entries()) {
      const row = state?.rows.find(({ entity }) => entity.id === uuid(1000 + lane))
      const count = Number(row !== undefined && 'host' in row.entity ? row.entity.host.slice(5) : 0)
      expect(count).toBeGreaterThanOrEqual(least)
      expect(count).toBeLessThanOrEqual(least + 1)
    }
    // Otherwise they never wrote at the same time, and this test showed nothing.
    expect(met).toBeGreaterThan(ROUNDS)
    await saveApart(fileStore(place.file), state?.at ?? NOWHERE, 2)
    expect(await readdir(place.path)).toEqual(['registry.json'])
  })

  it('all make their changes of the same row, one after another', async () => {
    await using place = await directory()
    const hosts = await Promise.all(
      Array.from({ length: 3 }, (_, i) => (processes[i] ??= new StoreProcess()).open(place.file)),
    )
    const registries = await Promise.all(
      [fileStore(place.file), ...hosts].map((store) =>
        createRegistry({ store, logger: SILENT, changeTimeoutMs: 30_000 }),
      ),
    )
    await registries[0]?.change('test', (draft) =>
      draft.create('services', { name: 'orders', url: 'http://orders', retries: 0 }),
    )
    await Promise.all(registries.map((registry) => changed(registry, 1)))
    const add = async (registry: Registry): Promise<void> => {
      for (let i = 0; i < 10; i += 1) {
        await registry.change('test', (draft) =>
          draft.patch('services', 'orders', { retries: (draft.get('services', 'orders')?.entity.retries ?? 0) + 1 }),
        )
      }
    }
    await Promise.all(registries.map(add))
    await Promise.all(registries.map((registry) => changed(registry, 41)))
    expect(registries.map((registry) => registry.get('services', 'orders')?.entity.retries)).toEqual([40, 40, 40, 40])
    await Promise.all(registries.map((registry) => registry.close()))
  })
})
