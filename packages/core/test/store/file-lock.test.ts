import { execFileSync } from 'node:child_process'
import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { NOWHERE, createRegistry, fileStore } from '@canary-release/core/registry'
import { renameOver } from '../../src/registry/stores/whole-file.js'
import { SILENT, addOrders, changed, disposable } from '../registry/harness.js'
import { listening, proposalOf, saved } from './suite.js'

async function directory() {
  const path = await mkdtemp(join(tmpdir(), 'canary-lock-'))
  return { path, file: join(path, 'registry.json'), [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

const storeCode = (message: RegExp) =>
  expect.objectContaining({ code: 'ERR_CANARY_STORE', message: expect.stringMatching(message) })

const OWNER = { pid: 7, host: 'elsewhere', boot: 'b', namespace: 'pid:[1]', token: 'x' }

async function lockAged(file: string, text: string, seconds: number): Promise<void> {
  await writeFile(`${file}.lock`, text)
  const then = Date.now() / 1000 - seconds
  await utimes(`${file}.lock`, then, then)
}

describe('the lock of a file', () => {
  it('is waited for until the deadline, and its holder is named', async () => {
    await using place = await directory()
    const store = fileStore(place.file)
    for (const [owner, words] of [
      [JSON.stringify(OWNER), /written by process 7 on elsewhere/],
      [JSON.stringify({ ...OWNER, pid: process.pid, host: hostname() }), new RegExp(`process ${process.pid}$`)],
      ['', /written by others all the time/],
      ['nonsense', /written by others all the time/],
    ] as const) {
      await lockAged(place.file, owner, 0)
      const refused = store.save(proposalOf(NOWHERE), AbortSignal.timeout(200))
      await expect(refused).rejects.toMatchObject({
        code: 'ERR_CANARY_STORE',
        outcome: 'not-written',
        message: expect.stringMatching(words),
      })
      expect(await readFile(`${place.file}.lock`, 'utf8')).toBe(owner)
    }
    expect(await store.load()).toBeNull()
  })

  it('that another one holds for longer than a change may take leaves it undone, and that is said: 503, not written', async () => {
    await using place = await directory()
    const store = fileStore(place.file)
    await using registry = disposable(await createRegistry({ store, logger: SILENT, changeTimeoutMs: 200 }), {})
    // Whenever the time is up, while it looks at the lock too.
    for (let i = 0; i < 5; i += 1) {
      await lockAged(place.file, JSON.stringify(OWNER), 0)
      await expect(addOrders(registry)).rejects.toMatchObject({
        status: 503,
        outcome: 'not-written',
        message: expect.stringMatching(/written by process 7 on elsewhere/),
      })
    }
    await rm(`${place.file}.lock`)
    await addOrders(registry)
    expect(registry.version).toBe(1)
  })

  it('is nobody’s once it was not renewed for five seconds, whoever holds it, or where it is from the future', async () => {
    await using place = await directory()
    const alive = { ...OWNER, pid: process.pid, host: hostname() }
    for (const owner of [JSON.stringify(alive), JSON.stringify(OWNER), 'nonsense', '']) {
      for (const seconds of [6, -3600]) {
        await lockAged(place.file, owner, seconds)
        const store = fileStore(place.file)
        const at = (await store.load())?.at ?? NOWHERE
        expect(await saved(store, proposalOf(at))).toMatchObject({ version: at.version + 1 })
        expect(await readdir(place.path)).toEqual(['registry.json'])
      }
    }
  })

  it('is nobody’s at once where its process is gone, but not by a pid of another host, boot or container', async () => {
    await using place = await directory()
    const store = fileStore(place.file)
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim()
    const gone = {
      pid: 2 ** 22 + 1,
      host: hostname(),
      boot,
      namespace: await readlink('/proc/self/ns/pid').catch(() => ''),
      token: 'x',
    }
    for (const other of [
      { host: 'elsewhere' },
      { boot: 'another' },
      { namespace: 'pid:[1]' },
      { boot: '', namespace: '' },
    ]) {
      await lockAged(place.file, JSON.stringify({ ...gone, ...other }), 0)
      const refused = store.save(proposalOf(NOWHERE), AbortSignal.timeout(200))
      await expect(refused).rejects.toThrow(storeCode(/written by process/))
    }
    await lockAged(place.file, JSON.stringify(gone), 0)
    const saving = store.save(proposalOf(NOWHERE), AbortSignal.timeout(boot === '' ? 200 : 10_000))
    // Where the system does not say which boot and container this is, the lock's age decides alone.
    if (boot === '') await expect(saving).rejects.toThrow(storeCode(/written by process/))
    else expect(await saving).toMatchObject({ kind: 'saved' })
  })

  it('is renewed as long as a write lasts', async () => {
    await using place = await directory()
    const { FileLock } = await import('../../src/registry/stores/file-lock.js')
    const lock = await FileLock.take(place.file)
    const then = Date.now() / 1000 - 4
    await utimes(`${place.file}.lock`, then, then)
    const before = (await stat(`${place.file}.lock`)).mtimeMs
    while ((await stat(`${place.file}.lock`)).mtimeMs === before)
      await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await lock.isHeld()).toBe(true)
    await lock.release()
    expect(await readdir(place.path)).toEqual([])
  })

  it('leaves what others have beside the file', async () => {
    await using place = await directory()
    const names = [
      'registry.json.tmp',
      'registry.json.bak',
      'registry.json.1.tmp',
      'other.json.11111111-2222-3333-4444-555555555555.tmp',
    ]
    for (const name of names) await writeFile(join(place.path, name), 'x')
    await writeFile(`${place.file}.11111111-2222-3333-4444-555555555555.tmp`, 'left over')
    await saved(fileStore(place.file), proposalOf(NOWHERE))
    expect((await readdir(place.path)).toSorted()).toEqual([...names, 'registry.json'].toSorted())
  })
})

describe('a file that is none', () => {
  const kinds: [string, (path: string) => Promise<unknown>, RegExp][] = [
    ['a FIFO', async (path) => execFileSync('mkfifo', [path]), /is a FIFO, not a file/],
    ['a directory', (path) => mkdir(path), /is a directory, not a file/],
    ['a device', (path) => symlink('/dev/null', path), /is a device, not a file/],
    ['a link to itself', (path) => symlink(path, path), /leads in a circle|cannot be read/],
  ]
  it.each(kinds)('is refused: %s', async (_what, make, reason) => {
    await using place = await directory()
    await make(place.file)
    const store = fileStore(place.file)
    await expect(store.load()).rejects.toThrow(storeCode(reason))
    await expect(store.save(proposalOf(NOWHERE))).rejects.toMatchObject({
      code: 'ERR_CANARY_STORE',
      outcome: 'not-written',
    })
    await expect(store.audit({ limit: 1 })).rejects.toThrow(storeCode(reason))
    const heard = listening(store, null)
    await heard.until((events) => events.some(({ kind }) => kind === 'error'))
    heard.stop()
    expect((await readdir(place.path)).filter((name) => name !== 'registry.json')).toEqual([])
  })

  it('is refused: a socket', async () => {
    await using place = await directory()
    const server = createServer().listen(place.file)
    await once(server, 'listening')
    await expect(fileStore(place.file).load()).rejects.toThrow(storeCode(/is a socket or a device, not a file/))
    server.close()
  })

  it.each(kinds.slice(0, 2))('is refused as a lock too: %s', async (_what, make, reason) => {
    await using place = await directory()
    await make(`${place.file}.lock`)
    await expect(fileStore(place.file).save(proposalOf(NOWHERE))).rejects.toThrow(storeCode(reason))
  })

  it('takes the place of a file that is in force: what was known stays so', async () => {
    await using place = await directory()
    const failed: unknown[] = []
    let told: () => void = () => undefined
    const failure = new Promise<void>((resolve) => (told = resolve))
    const onError = (error: unknown) => {
      failed.push(error)
      told()
    }
    await using registry = disposable(
      await createRegistry({ store: fileStore(place.file), logger: SILENT, onError }),
      {},
    )
    await addOrders(registry)
    await rm(place.file)
    execFileSync('mkfifo', [place.file])
    await failure
    expect(failed).toEqual([storeCode(/is a FIFO, not a file|is gone/)])
    expect(registry.get('services', 'orders')).not.toBeNull()
    const change = registry.change('ops', (draft) => draft.patch('services', 'orders', { port: 1 }))
    await expect(change).rejects.toThrow(storeCode(/is a FIFO, not a file/))
  })
})

describe("the operator's file", () => {
  it.each([0o640, 0o644, 0o660, 0o400])('keeps its mode %o', async (mode) => {
    await using place = await directory()
    const store = fileStore(place.file)
    const at = await saved(store, proposalOf(NOWHERE))
    await chmod(place.file, mode)
    await saved(store, proposalOf(at))
    expect((await stat(place.file)).mode & 0o777).toBe(mode)
  })

  it.each([
    ['that is there', true],
    ['that is not there yet', false],
  ])('stays where a chain of links leads to, to one %s', async (_what, isThere) => {
    await using place = await directory()
    const real = join(place.path, 'real')
    await mkdir(real)
    await symlink('real/data.json', join(place.path, 'middle.json'))
    await symlink('middle.json', place.file)
    let at = NOWHERE
    if (isThere) at = await saved(fileStore(join(real, 'data.json')), proposalOf(NOWHERE))
    const store = fileStore(place.file)
    expect((await store.load())?.at.version ?? 0).toBe(isThere ? 1 : 0)
    at = await saved(store, proposalOf(at))
    expect(await readlink(place.file)).toBe('middle.json')
    expect(await readlink(join(place.path, 'middle.json'))).toBe('real/data.json')
    expect(await readdir(real)).toEqual(['data.json'])
    // By whichever name it is opened, it has one lock and its watchers are told.
    const direct = fileStore(join(real, 'data.json'))
    await direct.load()
    const watcher = listening(store, at)
    await saved(direct, proposalOf(at))
    await watcher.to(at.version + 1)
    await store.close()
  })

  it('may be hard-linked: the other name keeps the state that it had', async () => {
    await using place = await directory()
    const store = fileStore(place.file)
    const at = await saved(store, proposalOf(NOWHERE))
    await link(place.file, join(place.path, 'backup.json'))
    await saved(store, proposalOf(at))
    expect((await fileStore(join(place.path, 'backup.json')).load())?.at).toEqual(at)
  })
})

describe('an edit by hand', () => {
  /** As an editor saves: to another name, or in place. */
  const saves = {
    'by another name': async (file: string, text: string) => {
      await writeFile(`${file}.edit`, text)
      await rename(`${file}.edit`, file)
    },
    'in place': (file: string, text: string) => writeFile(file, text),
  }

  it.each(Object.entries(saves))(
    'is one entry in the audit trail, whoever has the file open, saved %s',
    async (_how, save) => {
      await using place = await directory()
      const open = async (readOnly = false) =>
        disposable(await createRegistry({ store: fileStore(place.file, { readOnly }), logger: SILENT }), {})
      await using first = await open()
      await using second = await open()
      await using reader = await open(true)
      const all = [first, second, reader]
      await addOrders(first)
      await first.change('ops', (draft) => draft.create('consumers', { username: 'alice' }))
      await Promise.all(all.map((registry) => changed(registry, 2)))
      const text = await readFile(place.file, 'utf8')
      const stored = (registry: { version: number }) => changed(registry as typeof first, 3)
      await save(place.file, text.replace('orders-v1', 'by-hand').replace('alice', 'bob'))
      await Promise.all(all.map(stored))
      const { id = '' } = first.get('services', 'orders')?.entity ?? {}
      // Adopted by one of them, the file says so itself.
      while (!(await readFile(place.file, 'utf8')).includes('"version": 3'))
        await new Promise((resolve) => setTimeout(resolve, 10))
      for (const registry of [...all, await open()]) {
        const [entry, ...before] = await registry.audit()
        expect(entry).toMatchObject({
          version: 3,
          by: 'hand edit',
          what: expect.stringContaining(`update services ${id}: in the file, by hand`),
          changes: [
            { kind: 'services', before: { host: 'orders-v1' }, after: { host: 'by-hand' } },
            { kind: 'consumers', before: { username: 'alice' }, after: { username: 'bob' } },
          ],
        })
        expect(before.map(({ version }) => version)).toEqual([2, 1])
        expect(registry.snapshot().at).toEqual(first.snapshot().at)
        if (!all.includes(registry)) await registry.close()
      }
      await second.change('ops', (draft) => draft.patch('services', 'orders', { port: 81 }))
      await Promise.all(all.map((registry) => changed(registry, 4)))
      expect(all.map((registry) => registry.storeStatus.rewound)).toEqual([null, null, null])
    },
  )

  it('is an entry also where nobody had the file open', async () => {
    await using place = await directory()
    const store = fileStore(place.file)
    const at = await saved(store, proposalOf(NOWHERE))
    await writeFile(place.file, (await readFile(place.file, 'utf8')).replace('"port":80', '"port":81'))
    const later = fileStore(place.file)
    const edited = (await later.load())?.at ?? NOWHERE
    expect(edited).toMatchObject({ epoch: at.epoch, version: 2 })
    await saved(later, proposalOf(edited))
    const entries = await fileStore(place.file).audit({ limit: 10 })
    expect(entries.map(({ version, by }) => [version, by])).toEqual([[3, 'suite'], [2, 'hand edit'], [1, 'suite']]) // prettier-ignore
  })

  it('is none where only the layout of the text changed', async () => {
    await using place = await directory()
    const store = fileStore(place.file)
    const at = await saved(store, proposalOf(NOWHERE))
    await writeFile(place.file, JSON.stringify(JSON.parse(await readFile(place.file, 'utf8'))))
    expect((await fileStore(place.file).load())?.at).toEqual(at)
    expect(await saved(store, proposalOf(at))).toMatchObject({ version: 2 })
    expect(await store.audit({ limit: 10 })).toHaveLength(2)
  })

  it('is what an old copy becomes that is put in the file’s place: history goes on', async () => {
    await using place = await directory()
    const [store, other] = [fileStore(place.file), fileStore(place.file)]
    const first = await saved(store, proposalOf(NOWHERE, { host: 'old' }))
    const copy = await readFile(place.file, 'utf8')
    const second = await saved(store, proposalOf(first, { host: 'new' }))
    await other.load()
    const watcher = listening(other, second)
    await writeFile(place.file, copy)
    expect(await store.load()).toMatchObject({ at: { version: 3 }, rows: [{ entity: { host: 'old' } }] })
    await watcher.to(3)
    expect((await other.load())?.at).toEqual((await store.load())?.at)
    await other.close()
  })
})

describe('a file that looks as it did', () => {
  it('is read all the same before it is written over: times are coarse, and inodes are used again', async () => {
    await using place = await directory()
    const base = await saved(fileStore(place.file), proposalOf(NOWHERE, { host: 'one' }))
    const store = fileStore(place.file)
    const long = 1_700_000_000
    await utimes(place.file, long, long)
    await store.load()
    // In place, as long as it was, and of the same time.
    const text = await readFile(place.file, 'utf8')
    await writeFile(place.file, text.replace('"host":"one"', '"host":"two"'))
    await utimes(place.file, long, long)
    expect(await store.save(proposalOf(base, { host: 'six' }))).toEqual({ kind: 'conflict', missed: null })
    expect(await store.load()).toMatchObject({ at: { version: 2 }, rows: [{ entity: { host: 'two' } }] })
  })
})

describe('formats', () => {
  it('reads a file of format 1, and goes on with it', async () => {
    await using place = await directory()
    const at = await saved(fileStore(place.file), proposalOf(NOWHERE))
    const text = (await readFile(place.file, 'utf8'))
      .replace('registry 2', 'registry 1')
      .replace(/ {2}"min_reader": .*\n/, '')
      .replace(/,\n {2}"log": \[\n.*\n {2}\],\n {2}"digest": .*/, '')
    expect(Object.keys(JSON.parse(text))).not.toContain('log')
    await writeFile(place.file, text)
    const store = fileStore(place.file)
    expect((await store.load())?.at).toEqual(at)
    expect(await saved(store, proposalOf(at))).toMatchObject({ epoch: at.epoch, version: 2 })
    expect((await fileStore(place.file).audit({ limit: 5 })).map(({ by }) => by)).toEqual(['suite', 'suite'])
    expect(await readFile(place.file, 'utf8')).toContain('registry 2')
  })

  it('reads a newer format that says that it may, and writes nothing of it away', async () => {
    await using place = await directory()
    const at = await saved(fileStore(place.file), proposalOf(NOWHERE))
    const text = (await readFile(place.file, 'utf8'))
      .replace('registry 2', 'registry 3')
      .replace('"services"', '"later": [{ "x": 1 }],\n  "services"')
    await writeFile(place.file, text)
    const store = fileStore(place.file)
    expect((await store.load())?.at).toEqual(at)
    await expect(store.save(proposalOf(at))).rejects.toThrow(storeCode(/of a newer version, and is only read/))
    expect(await readFile(place.file, 'utf8')).toBe(text)
  })

  it('refuses a change after the greatest version, and stays readable', async () => {
    await using place = await directory()
    await saved(fileStore(place.file), proposalOf(NOWHERE))
    const text = await readFile(place.file, 'utf8')
    await writeFile(place.file, text.replace('"version": 1,', '"version": 999999999999999,'))
    const store = fileStore(place.file)
    const at = (await store.load())?.at ?? NOWHERE
    expect(at.version).toBe(1e15)
    await expect(store.save(proposalOf(at))).rejects.toThrow(storeCode(/there is none after it/))
    expect((await fileStore(place.file).load())?.at).toEqual(at)
  })
})

describe('a rename over a file that somebody has open', () => {
  const failing = (code: string, times: number) => {
    let calls = 0
    const move = async () => {
      calls += 1
      if (calls <= times) throw Object.assign(new Error(code), { code })
    }
    return { move, calls: () => calls }
  }

  it.each(['EPERM', 'EBUSY', 'EACCES'])('is tried again on Windows where it is %s', async (code) => {
    const { move, calls } = failing(code, 3)
    await renameOver('a', 'b', { platform: 'win32', move })
    expect(calls()).toBe(4)
  })

  it('is given up after a second, at once for another reason, and at once elsewhere', async () => {
    for (const [platform, code] of [
      ['win32', 'ENOENT'],
      ['linux', 'EACCES'],
    ] as const) {
      // prettier-ignore
      const { move, calls } = failing(code, 3)
      await expect(renameOver('a', 'b', { platform, move })).rejects.toThrow(code)
      expect(calls()).toBe(1)
    }
    const { move } = failing('EBUSY', Infinity)
    await expect(renameOver('a', 'b', { platform: 'win32', move })).rejects.toThrow('EBUSY')
  })
})
