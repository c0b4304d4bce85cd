// A process that makes one change and gets a signal just before one of its calls of the file system: the nth. Without a
// signal it says how many there are. Run on the built package.
import { randomUUID } from 'node:crypto'
import fs, { writeSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { fileStore } from '@canary-release/core/registry'

const [, , file = '', signal = '', nth = '0'] = process.argv
const store = fileStore(file)
const at = (await store.load()).at

let calls = 0
function counted(owner, name) {
  const original = owner[name]
  owner[name] = function call(...args) {
    calls += 1
    if (calls === Number(nth)) {
      writeSync(1, `halts before ${name} ${String(args[0]).replace(/^.*\//, '')}\n`)
      process.kill(process.pid, signal)
    }
    return original.apply(this, args)
  }
}
const handle = await fs.promises.open(file)
for (const name of ['write', 'writeFile', 'chmod', 'sync', 'close']) counted(Object.getPrototypeOf(handle), name)
for (const name of ['open', 'rename', 'rm', 'readdir', 'stat']) counted(fs.promises, name)
syncBuiltinESMExports()

const id = '99999999-2222-4333-8444-555555555555'
const times = { connect_timeout: 60_000, write_timeout: 60_000, read_timeout: 60_000, created_at: 0, updated_at: 0 }
const place = { protocol: 'http', host: 'late', port: 80, path: null }
const entity = { id, name: null, ...place, retries: 5, ...times, enabled: true, tags: null }
const commit = randomUUID()
const audit = { id: commit, at: 0, by: 'late', what: `create services ${id}`, changes: [], more: 0 }
const keys = [`services/${id}`]
const changes = [{ kind: 'services', id, row: { kind: 'services', entity, release: null } }]
const result = await store.save({ id: commit, base: at, reads: keys, writes: keys, changes, audit })
writeSync(1, signal === '' ? `calls ${calls}\n` : `answer ${result.kind} ${result.at?.version}\n`)
// The handle was opened for its class alone.
process.exit(0)
