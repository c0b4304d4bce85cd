// Compares gateways side by side in one run: `node bench/dist/forward/main.js --rounds 5 --seconds 5`.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Measured, type Pinned, accepting, freePort, load, pin } from './load.js'
import { OURS, PEERS, PROGRAMS, TARGETS } from './peers.js'
import { haproxyConfiguration, isInstalled, nginxConfiguration, upstreamConfiguration } from './programs.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '64' },
    payload: { type: 'string', default: '56' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
  },
})
const rounds = bounded(values.rounds, 1, 50)
const seconds = bounded(values.seconds, 1, 60)
const connections = bounded(values.connections, 1, 2000)
const PAYLOADS: Record<string, string> = { '56': '/56', '10k': '/10k', '1m': '/1m', upload: '/upload' }
const path = PAYLOADS[values.payload]
if (path === undefined) throw new Error(`--payload must be one of ${Object.keys(PAYLOADS).join(', ')}`)
for (const program of ['wrk', 'nginx', 'taskset']) {
  if (!isInstalled(program)) throw new Error(`${program} is needed: apt-get install wrk nginx util-linux`)
}

function bounded(text: string, least: number, most: number): number {
  const value = Number(text)
  if (!(value >= least && value <= most)) throw new Error(`${text} is not between ${least} and ${most}`)
  return value
}

const folder = mkdtempSync(join(tmpdir(), 'canary-bench-'))
const running: Pinned[] = []
const ports = [await freePort(), await freePort()] as const
const [A, B] = ports.map((port) => `http://127.0.0.1:${port}`)
const names = [...OURS, ...PEERS, ...PROGRAMS.filter(isInstalled)].filter((name) => name.includes(values.only))
const results = new Map<string, Measured[]>(names.map((name) => [name, []]))
const script = values.payload === 'upload' ? join(folder, 'upload.lua') : null
if (script !== null) writeFileSync(script, 'wrk.method = "POST"\nwrk.body = string.rep("x", 1048576)\n')

async function startGateway(name: string): Promise<{ gateway: Pinned; port: number }> {
  if (name === 'nginx' || name === 'haproxy') {
    const port = await freePort()
    const isNginx = name === 'nginx'
    const file = (isNginx ? nginxConfiguration : haproxyConfiguration)(folder, port, ports)
    const gateway = await pin(0, name, isNginx ? ['-c', file, '-p', folder] : ['-f', file, '-db'])
    await accepting(port, gateway.child)
    return { gateway, port }
  }
  const program = fileURLToPath(new URL('gateway.js', import.meta.url))
  const gateway = await pin(0, process.execPath, [program, name, A ?? '', B ?? ''])
  const port = await new Promise<number>((resolve, reject) => {
    gateway.child.stdout?.once('data', (chunk) => resolve(Number(chunk)))
    gateway.child.once('close', () => reject(new Error(`${name} did not start`)))
  })
  return { gateway, port }
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

const of = (name: string, field: keyof Measured) => median((results.get(name) ?? []).map((measured) => measured[field]))

try {
  const upstreams = await pin(1, 'nginx', ['-c', upstreamConfiguration(folder, ports), '-p', folder])
  running.push(upstreams)
  await accepting(ports[0], upstreams.child)
  for (let round = 0; round < rounds; round += 1) {
    for (const name of names) {
      const { gateway, port } = await startGateway(name)
      running.push(gateway)
      const measured = await load({
        url: `http://127.0.0.1:${port}${path}`,
        pid: gateway.pid,
        connections,
        seconds,
        script,
      })
      results.get(name)?.push(measured)
      process.stderr.write(`${round + 1}/${rounds} ${name}: ${measured.cpuUs.toFixed(1)} µs\n`)
      await gateway.stop()
      running.pop()
    }
  }
  report()
} finally {
  for (const each of running) await each.stop()
  rmSync(folder, { recursive: true, force: true })
}

function report(): void {
  const lines = [
    `\`node bench/dist/forward/main.js --payload ${values.payload} --connections ${connections} --rounds ${rounds} --seconds ${seconds}\`: Node ${process.version}, medians`,
    '',
    '| gateway | requests/s | p50 | p99 | CPU per request | errors |',
    '|---|---:|---:|---:|---:|---:|',
    ...names.map((name) =>
      [
        '',
        name,
        of(name, 'requestsPerSecond').toFixed(0),
        `${of(name, 'p50Ms').toFixed(1)} ms`,
        `${of(name, 'p99Ms').toFixed(1)} ms`,
        `${of(name, 'cpuUs').toFixed(1)} µs`,
        of(name, 'errors').toFixed(0),
        '',
      ]
        .join(' | ')
        .trim(),
    ),
    '',
    ...TARGETS.filter(([ours, peer]) => names.includes(ours) && names.includes(peer)).map(([ours, peer, most]) => {
      const ratio = of(ours, 'cpuUs') / of(peer, 'cpuUs')
      const said = ratio < 1 ? `1/${(1 / ratio).toFixed(2)}` : ratio.toFixed(2)
      const asked = most < 1 ? `1/${(1 / most).toFixed(1)}` : String(most)
      return `${ours}: ${said} of ${peer} (at most ${asked}${ratio <= most ? '' : ', NOT REACHED'})`
    }),
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(Object.fromEntries(results), null, 2))
}
