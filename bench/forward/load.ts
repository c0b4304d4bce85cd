import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { isInstalled } from './programs.js'

const run = promisify(execFile)
/** Clock ticks a second in /proc: 100 on every Linux that Node runs on. */
const TICKS = 100
const WARM_UP_SECONDS = 2

/** What one round of load measured. */
export interface Measured {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** User and system time of the gateway's process for each request, in microseconds. */
  readonly cpuUs: number
  /** Answers that were no 2xx, and sockets that failed. */
  readonly errors: number
}

export interface Load {
  readonly url: string
  readonly pid: number
  readonly connections: number
  readonly seconds: number
  /** 1 MB goes up with each request. */
  readonly upload: boolean
  /** For wrk's script. */
  readonly folder: string
}

type Counted = Omit<Measured, 'cpuUs'> & { readonly requests: number }

/** Loads a gateway from core 1, with wrk where it is installed, and reads the gateway's CPU time before and after. */
export async function load(options: Load): Promise<Measured> {
  const round = isInstalled('wrk') ? wrk : autocannon
  await round(options, WARM_UP_SECONDS)
  const before = cpuSeconds(options.pid)
  const { requests, ...counted } = await round(options, options.seconds)
  const cpu = cpuSeconds(options.pid) - before
  return { ...counted, cpuUs: requests === 0 ? Number.NaN : (cpu * 1e6) / requests }
}

/** So many consumers that each upstream has about half; every request is made before the load begins. */
const script = (upload: boolean) => `local requests, at = {}, 0
function init(args)
  ${upload ? 'wrk.method = "POST"\n  wrk.body = string.rep("x", 1048576)' : ''}
  for i = 1, ${upload ? 64 : 256} do
    wrk.headers["apikey"] = "7b1d9c52-2a4e-4f0e-9c61-" .. string.format("%012d", i)
    requests[i] = wrk.format()
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
`

async function wrk({ url, connections, upload, folder }: Load, seconds: number): Promise<Counted> {
  const file = join(folder, 'load.lua')
  writeFileSync(file, script(upload))
  const command = `-c 1 wrk -t1 -c${connections} -d${seconds}s --latency --timeout 30s -s ${file} ${url}`
  const { stdout } = await run('taskset', command.split(' '), { timeout: (seconds + 60) * 1000 })
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout)?.slice(1) ?? []
  const statuses = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0)
  return {
    requests: Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0),
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1] ?? 0),
    p50Ms: latency(stdout, '50%'),
    p99Ms: latency(stdout, '99%'),
    errors: sockets.reduce((sum, count) => sum + Number(count), statuses),
  }
}

function latency(text: string, percentile: string): number {
  const [, value, unit] = new RegExp(`${percentile}\\s+([\\d.]+)(us|ms|s)`).exec(text) ?? []
  return Number(value) * (unit === 'us' ? 0.001 : unit === 's' ? 1000 : 1)
}

interface AutocannonResult {
  readonly duration: number
  readonly errors: number
  readonly non2xx: number
  readonly latency: { readonly p50: number; readonly p99: number }
  readonly requests: { readonly total: number }
}

/** One consumer only: autocannon takes its headers from the command line. */
async function autocannon({ url, connections, upload, folder }: Load, seconds: number): Promise<Counted> {
  const program = createRequire(import.meta.url).resolve('autocannon')
  const args = ['-j', '-c', String(connections), '-d', String(seconds), '-H', 'apikey=7b1d9c52-2a4e-4f0e-9c61-1']
  if (upload) {
    const body = join(folder, 'body')
    writeFileSync(body, 'x'.repeat(1_048_576))
    args.push('-m', 'POST', '-i', body)
  }
  const { stdout } = await run('taskset', ['-c', '1', process.execPath, program, ...args, url])
  const { requests, duration, latency: times, errors, non2xx } = JSON.parse(stdout) as AutocannonResult
  return {
    requests: requests.total,
    requestsPerSecond: requests.total / duration,
    p50Ms: times.p50,
    p99Ms: times.p99,
    errors: errors + non2xx,
  }
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}
