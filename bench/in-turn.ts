import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http, { type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// Listeners in one process, loaded in turn a second at a time, so that whatever else the machine does hits all of them.
// Needs wrk, nginx and taskset.

const CONTROL = 9301
const FIRST = 9302
const UPSTREAM_PORT = 9300

/** Where the upstream, nginx with 56 bytes, listens. */
export const UPSTREAM = `http://127.0.0.1:${UPSTREAM_PORT}`

/** Serves each listener on a port of its own, and says on another what the process has used and answered. */
export function serveInTurn(listeners: readonly RequestListener[]): void {
  let requests = 0
  for (const [i, listener] of listeners.entries()) {
    http
      .createServer((request, response) => {
        requests += 1
        listener(request, response)
      })
      .listen(FIRST + i, '127.0.0.1')
  }
  http
    .createServer((_request, response) => {
      const { user, system } = process.cpuUsage()
      response.end(JSON.stringify({ cpu: user + system, requests }))
    })
    .listen(CONTROL, '127.0.0.1')
}

interface Reading {
  readonly cpu: number
  readonly requests: number
}

async function read(): Promise<Reading> {
  const response = await fetch(`http://127.0.0.1:${CONTROL}`)
  return (await response.json()) as Reading
}

/** Resolves once the process serves; the port that says so is opened last. */
async function started(): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      return void (await read())
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  throw new Error('the gateways did not start')
}

const pinned = (core: number, ...command: string[]) =>
  spawn('taskset', ['-c', String(core), ...command], { stdio: ['ignore', 'ignore', 'inherit'] })

async function load(place: number, seconds: number): Promise<void> {
  const url = `http://127.0.0.1:${FIRST + place}/orders?x=1`
  await once(pinned(1, 'wrk', '-t', '1', '-c', '64', '-d', `${seconds}s`, url), 'close')
}

/** Microseconds of CPU a request. */
async function cost(place: number): Promise<number> {
  const before = await read()
  await load(place, 1)
  const after = await read()
  return (after.cpu - before.cpu) / (after.requests - before.requests)
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length * share)] ?? Number.NaN
}

/**
 * Loads the listeners of a program in turn; `args` make it serve them.
 *
 * @returns for each listener the microseconds of CPU a request, slice by slice
 */
export async function measureInTurn(count: number, slices: number, args: readonly string[]): Promise<number[][]> {
  const folder = mkdtempSync(join(tmpdir(), 'canary-bench-'))
  const config = join(folder, 'nginx.conf')
  const body = 'x'.repeat(56)
  writeFileSync(
    config,
    `daemon off; pid ${folder}/pid; error_log stderr crit; events {} http { access_log off; keepalive_requests 1000000000;
    server { listen 127.0.0.1:${UPSTREAM_PORT}; location / { default_type text/plain; return 200 "${body}"; } } }`,
  )
  const children = [
    pinned(1, 'nginx', '-p', folder, '-e', 'stderr', '-c', config),
    pinned(0, process.execPath, ...args),
  ]
  try {
    await started()
    const places = Array.from({ length: count }, (_, place) => place)
    for (const place of places) await load(place, 3)
    const costs = places.map((): number[] => [])
    for (let slice = 0; slice < slices; slice += 1) {
      // Every other slice runs backwards, so that what grows slower with time is nobody's disadvantage.
      for (const place of slice % 2 === 0 ? places : places.toReversed()) costs[place]?.push(await cost(place))
    }
    return costs
  } finally {
    for (const child of children) {
      child.kill()
      await once(child, 'close')
    }
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Prints what each listener costs, and what each costs beside the first. */
export function printInTurn(names: readonly string[], costs: readonly (readonly number[])[]): void {
  const [first = []] = costs
  for (const [place, name] of names.entries()) {
    const own = costs[place] ?? []
    const figures = `p10 ${quantile(own, 0.1).toFixed(1)} µs, median ${quantile(own, 0.5).toFixed(1)} µs`
    const ratios = own.map((cost, slice) => cost / (first[slice] ?? Number.NaN))
    const beside = place === 0 ? '' : `, beside ${names[0]} in the median ${quantile(ratios, 0.5).toFixed(3)}`
    console.log(`${name}: ${figures}${beside}`)
  }
}
