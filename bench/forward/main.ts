// Compares gateways side by side in one run, on Linux, with loopback only: a gateway alone on core 0, upstreams and load
// on core 1.
//
// npm run build && node bench/dist/forward/main.js --payload 56,10k,1m,upload --connections 64,1000 --rounds 3 --seconds 4
//
// Ends with 1 if a target of `peers.ts` is not reached. For one of them alone, on another version of Node:
//
// npx --package node@24 -- node bench/dist/forward/main.js --only 'ours on Express' --rounds 9 --seconds 2
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Measured, load } from './load.js'
import { OURS, PEERS, PROGRAMS } from './peers.js'
import { isInstalled } from './programs.js'
import { isReached, table } from './report.js'
import { type Pinned, startGateway, startUpstreams } from './start.js'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '4' },
    /** Of wrk, or a list of them. */
    connections: { type: 'string', default: '64' },
    /** 56, 10k and 1m come down; upload: 1 MB goes up. */
    payload: { type: 'string', default: '56' },
    /** Gateways whose names hold one of these. */
    only: { type: 'string', default: '' },
    /** A file for every round's figures. */
    json: { type: 'string' },
  },
})
const PAYLOADS: Record<string, string> = { '56': '/56', '10k': '/10k', '1m': '/1m', upload: '/upload' }
const rounds = bounded(values.rounds, 1, 100)
const seconds = bounded(values.seconds, 1, 60)
const only = values.only.split(',')
const names = [...OURS, ...PEERS, ...PROGRAMS.filter(isInstalled)].filter((name) =>
  only.some((part) => (part.startsWith('=') ? name === part.slice(1) : name.includes(part))),
)
const scenarios = values.payload.split(',').flatMap((payload) => {
  const path = PAYLOADS[payload]
  if (path === undefined) throw new Error(`--payload must be of ${Object.keys(PAYLOADS).join(', ')}`)
  return values.connections.split(',').map((text) => {
    const results = new Map<string, Measured[]>(names.map((name) => [name, []]))
    return { payload, path, connections: bounded(text, 1, 2000), results }
  })
})
if (!isInstalled('taskset') || availableParallelism() < 2) throw new Error('two cores and taskset are needed')

function bounded(text: string, least: number, most: number): number {
  const value = Number(text)
  if (!(value >= least && value <= most)) throw new Error(`${text} is not between ${least} and ${most}`)
  return value
}

const folder = mkdtempSync(join(tmpdir(), 'canary-bench-'))
const running = new Set<Pinned>()

async function measure(name: string, ports: readonly [number, number]): Promise<void> {
  for (const { payload, path, connections, results } of scenarios) {
    const { gateway, port } = await startGateway(name, folder, ports)
    running.add(gateway)
    const url = `http://127.0.0.1:${port}${path}`
    const measured = await load({
      url,
      pid: gateway.pid,
      connections,
      seconds,
      upload: payload === 'upload',
      folder,
    })
    results.get(name)?.push(measured)
    process.stderr.write(`${payload}, ${connections}, ${name}: ${measured.cpuUs.toFixed(1)} µs\n`)
    await gateway.stop()
    running.delete(gateway)
  }
}

try {
  const { upstreams, ports } = await startUpstreams(folder)
  running.add(upstreams)
  for (let round = 0; round < rounds; round += 1) {
    // Every other round runs backwards, so that what grows slower with time is nobody's disadvantage.
    for (const name of round % 2 === 0 ? names : names.toReversed()) await measure(name, ports)
  }
  for (const { payload, connections, results } of scenarios) {
    const what = payload === 'upload' ? '1 MB up' : `${payload} down`
    process.stdout.write(`### ${what}, ${connections} connections\n\n${table(results, payload)}\n\n`)
    if (!isReached(results, payload)) process.exitCode = 1
  }
  process.stdout.write(
    `\`node bench/dist/forward/main.js ${process.argv.slice(2).join(' ')}\`, Node ${process.version}, medians\n`,
  )
  if (values.json !== undefined) {
    const plain = scenarios.map(({ payload, connections, results }) => ({
      payload,
      connections,
      results: Object.fromEntries(results),
    }))
    writeFileSync(values.json, JSON.stringify(plain, null, 2))
  }
} finally {
  for (const each of running) await each.stop()
  rmSync(folder, { recursive: true, force: true })
}
