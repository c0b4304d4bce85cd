// Sends damaged requests and pipelines through every adapter for as long as you like, and says what did not hold.
//
// npm run build && node bench/dist/fuzz/main.js [seconds per gateway] [seed]
import { fuzz } from './fuzz.js'
import { FUZZED } from './gateways.js'

const PIPELINES = 500
const [seconds = 60, firstSeed = Date.now() % 1_000_000] = process.argv.slice(2).map(Number)

process.on('uncaughtException', (error) => {
  process.stdout.write(`uncaught: ${error.stack}\n`)
  process.exit(1)
})

for (const gateway of FUZZED) {
  const until = performance.now() + seconds * 1000
  let pipelines = 0
  let requests = 0
  for (let seed = firstSeed; performance.now() < until; seed += 1) {
    const result = await fuzz({ gateway, seed, pipelines: PIPELINES, connections: 16 })
    pipelines += result.pipelines
    requests += result.requests
    for (const fault of result.faults) process.stdout.write(`${gateway}: ${fault}\n`)
    if (result.faults.length > 0) process.exitCode = 1
  }
  process.stdout.write(
    `${gateway}: ${pipelines} pipelines from seed ${firstSeed}, ${requests} requests reached the upstream\n`,
  )
}
