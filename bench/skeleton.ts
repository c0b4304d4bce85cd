// What forwarding costs beside the least a proxy on undici can do: both in one process, loaded in turn a second at a
// time, so that whatever else the machine does hits both. Needs wrk, nginx and taskset.
//
// npm run build && node bench/dist/skeleton.js [slices]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http, { type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHandler } from '@canary-release/core/node'
import { Pool } from 'undici'

const UPSTREAM = 'http://127.0.0.1:9301'
const PORTS = { skeleton: 9302, ours: 9303, control: 9304 } as const
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding'])

/** A proxy without limits, health, retries, aborts, X-Forwarded-*, or a look at the path. */
function skeleton(): RequestListener {
  const pool = new Pool(UPSTREAM, { connections: 256 })
  return (request, response) => {
    delete request.headers.connection
    const { url = '/', method = 'GET', headers } = request
    pool.dispatch(
      { path: url, method, headers },
      {
        onConnect: () => {},
        onHeaders(status, raw) {
          for (let i = 0; i + 1 < raw.length; i += 2) {
            const name = String(raw[i]).toLowerCase()
            if (!HOP_BY_HOP.has(name)) response.setHeader(name, String(raw[i + 1]))
          }
          response.writeHead(status)
          return true
        },
        onData: (chunk) => response.write(chunk),
        onComplete: () => void response.end(),
        onError: () => void response.destroy(),
      },
    )
  }
}

function gateway(): void {
  let requests = 0
  const serve = (listener: RequestListener, port: number) =>
    http
      .createServer((request, response) => {
        requests += 1
        listener(request, response)
      })
      .listen(port, '127.0.0.1')
  const upstreams = { A: UPSTREAM, B: UPSTREAM }
  serve(skeleton(), PORTS.skeleton)
  serve(createHandler({ name: 'bench', upstreams, percentage: 50, hash: 'ip' }), PORTS.ours)
  http
    .createServer((_request, response) => {
      const { user, system } = process.cpuUsage()
      response.end(JSON.stringify({ cpu: user + system, requests }))
    })
    .listen(PORTS.control, '127.0.0.1')
}

interface Reading {
  readonly cpu: number
  readonly requests: number
}

async function read(): Promise<Reading> {
  const response = await fetch(`http://127.0.0.1:${PORTS.control}`)
  return (await response.json()) as Reading
}

const pinned = (core: number, ...command: string[]) =>
  spawn('taskset', ['-c', String(core), ...command], { stdio: ['ignore', 'ignore', 'inherit'] })

async function load(port: number, seconds: number): Promise<void> {
  await once(
    pinned(1, 'wrk', '-t', '1', '-c', '64', '-d', `${seconds}s`, `http://127.0.0.1:${port}/orders?x=1`),
    'close',
  )
}

/** Microseconds of CPU a request. */
async function cost(port: number): Promise<number> {
  const before = await read()
  await load(port, 1)
  const after = await read()
  return (after.cpu - before.cpu) / (after.requests - before.requests)
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length * share)] ?? Number.NaN
}

async function main(slices: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'canary-bench-'))
  const config = join(folder, 'nginx.conf')
  const body = 'x'.repeat(56)
  writeFileSync(
    config,
    `daemon off; pid ${folder}/pid; error_log stderr crit; events {} http { access_log off; keepalive_requests 1000000000;
    server { listen ${UPSTREAM.slice('http://'.length)}; location / { default_type text/plain; return 200 "${body}"; } } }`,
  )
  const children = [
    pinned(1, 'nginx', '-p', folder, '-e', 'stderr', '-c', config),
    pinned(0, process.execPath, import.meta.filename, '--gateway'),
  ]
  try {
    await new Promise((resolve) => setTimeout(resolve, 1500))
    for (const port of [PORTS.skeleton, PORTS.ours]) await load(port, 3)
    const pairs: { skeleton: number; ours: number }[] = []
    for (let i = 0; i < slices; i += 1) {
      pairs.push({ skeleton: await cost(PORTS.skeleton), ours: await cost(PORTS.ours) })
    }
    for (const name of ['skeleton', 'ours'] as const) {
      const costs = pairs.map((pair) => pair[name])
      console.log(`${name}: p10 ${quantile(costs, 0.1).toFixed(1)} µs, median ${quantile(costs, 0.5).toFixed(1)} µs`)
    }
    const ratios = pairs.map(({ skeleton, ours }) => ours / skeleton)
    console.log(`ours / skeleton, median of ${slices} pairs: ${quantile(ratios, 0.5).toFixed(2)}`)
  } finally {
    for (const child of children) {
      child.kill()
      await once(child, 'close')
    }
    rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv.includes('--gateway')) gateway()
else await main(Number(process.argv[2] ?? 20))
