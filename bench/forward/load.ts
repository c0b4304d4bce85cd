import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'

const run = promisify(execFile)
/** Clock ticks a second in /proc: 100 on every Linux that Node runs on. */
const TICKS = 100

/** What one round of load measured. */
export interface Measured {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** User and system time of the gateway's process for each request, in microseconds. */
  readonly cpuUs: number
  /** Answers that were no 2xx or 3xx, and sockets that failed. */
  readonly errors: number
}

export interface Load {
  readonly url: string
  readonly pid: number
  readonly connections: number
  readonly seconds: number
  /** A wrk script in Lua; `null` for plain GETs. */
  readonly script: string | null
}

/** Loads a gateway with wrk from core 1, and reads its CPU time before and after. */
export async function load({ url, pid, connections, seconds, script }: Load): Promise<Measured> {
  const wrk = async (duration: number) => {
    const scripted = script === null ? [] : ['-s', script]
    const args = [
      '-c',
      '1',
      'wrk',
      '-t1',
      `-c${connections}`,
      `-d${duration}s`,
      '--latency',
      '--timeout',
      '30s',
      ...scripted,
    ]
    return (await run('taskset', [...args, '-H', 'apikey: consumer-7', url], { timeout: (duration + 40) * 1000 }))
      .stdout
  }
  await wrk(1)
  const before = cpuSeconds(pid)
  const text = await wrk(seconds)
  const cpu = cpuSeconds(pid) - before
  const requests = Number(/(\d+) requests in/.exec(text)?.[1] ?? 0)
  const sockets =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.slice(1).map(Number) ?? []
  const statuses = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0)
  return {
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1] ?? 0),
    p50Ms: latency(text, '50%'),
    p99Ms: latency(text, '99%'),
    cpuUs: requests === 0 ? Number.NaN : (cpu * 1e6) / requests,
    errors: statuses + sockets.reduce((sum, count) => sum + count, 0),
  }
}

function latency(text: string, percentile: string): number {
  const [, value, unit] = new RegExp(`${percentile}\\s+([\\d.]+)(us|ms|s)`).exec(text) ?? []
  return Number(value) * (unit === 'us' ? 0.001 : unit === 's' ? 1000 : 1)
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}

/** A program on one core, ended by its process id. */
export interface Pinned {
  readonly child: ChildProcess
  readonly pid: number
  stop(): Promise<void>
}

export async function pin(core: number, program: string, args: readonly string[]): Promise<Pinned> {
  const child = spawn('taskset', ['-c', String(core), program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  const { pid } = child
  if (pid === undefined) throw new Error(`${program} did not start`)
  return {
    child,
    pid,
    stop: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Resolves once a port takes connections. */
export async function accepting(port: number, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`a program ended before it listened on ${port}`)
    const socket = connect(port, '127.0.0.1')
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
