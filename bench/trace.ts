// Which files and functions of the packages one GET enters, by V8's precise coverage, through Express: with a release in
// code, and with one of a registry. After a warm-up, as what is loaded, compiled or connected once is no request's.
//
// npm run build && node bench/dist/trace.js [--list] [A|B]
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { Session } from 'node:inspector/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRegistry, memoryStore } from '@canary-release/core/registry'
import { canary, createServer } from '@canary-release/express'
import express from 'express'

const WARM_UP = 20
const PACKAGE = /\/packages\/(\w+)\/dist\/(.+)\.js$/

const side = process.argv.includes('A') ? 'A' : 'B'
const percentage = side === 'A' ? 0 : 100
const isListed = process.argv.includes('--list')
const silent = { info() {}, warn() {}, error() {} }

async function listen(server: http.Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const agent = new http.Agent({ keepAlive: true })

async function get(url: string): Promise<void> {
  const request = http.get(`${url}/orders?x=1`, { agent })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  if (response.statusCode !== 200) throw new Error(`answered ${response.statusCode}`)
  response.resume()
  await once(response, 'close')
  // What follows the response, such as its outcome, is the request's too.
  await sleep(20)
}

const session = new Session()
session.connect()
await session.post('Profiler.enable')
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })

/** Names of the functions that were entered since the last time, by file. */
async function entered(): Promise<Map<string, string[]>> {
  const { result } = await session.post('Profiler.takePreciseCoverage')
  const files = new Map<string, string[]>()
  for (const { url, functions } of result) {
    const [, name, file] = PACKAGE.exec(url) ?? []
    if (name === undefined) continue
    const names = functions
      .filter(({ ranges }) => (ranges[0]?.count ?? 0) > 0)
      .map(({ functionName, ranges }) => {
        const count = ranges[0]?.count ?? 0
        return (functionName || '(anonymous)') + (count > 1 ? ` ×${count}` : '')
      })
    if (names.length > 0) files.set(`${name}/${file}`, names)
  }
  return files
}

/** How many of the files are in each room. */
function roomsOf(files: Iterable<string>): string[] {
  const counts = new Map<string, number>()
  for (const file of files) {
    const [name = '', room = ''] = file.split('/')
    const key = name === 'core' && file.split('/').length > 2 ? room : name
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return [...counts].map(([room, count]) => `${room} ${count}`)
}

async function trace(what: string, middleware: ReturnType<typeof canary>): Promise<void> {
  const app = express()
  app.use(middleware)
  const server = createServer(app)
  const url = await listen(server)
  for (let i = 0; i < WARM_UP; i += 1) await get(url)
  await entered()
  await get(url)
  const files = await entered()
  const functions = [...files.values()].flat()
  console.log(`${what}: ${files.size} files, ${functions.length} functions`)
  console.log(`  ${roomsOf(files.keys()).join(', ')}`)
  if (isListed) for (const [file, names] of [...files].toSorted()) console.log(`  ${file}: ${names.join(', ')}`)
  server.close()
  await middleware.close()
}

const upstream = http.createServer((_request, response) => response.end('x'.repeat(56)))
const location = await listen(upstream)
const { hostname, port } = new URL(location)

await trace('a release in code', canary({ name: 'code', upstreams: { A: location, B: location }, percentage }))

const registry = await createRegistry({ store: memoryStore(), logger: silent })
await registry.change('trace', (draft) => {
  draft.create('services', { name: 'orders', url: location })
  const config = { upstream_host: hostname, upstream_port: Number(port), percentage }
  draft.create('plugins', { name: 'canary', config }, { kind: 'services', key: 'orders' })
})
await trace('a release of a registry', canary({ registry, service: 'orders' }))

await registry.close()
agent.destroy()
upstream.close()
session.disconnect()
