// Everything at once for a while: `node bench/dist/soak.js --seconds 120 --seed 1`. Ends with exit code 1 where a request
// failed that must not, where something was unhandled, or where sockets or memory stayed.
import { parseArgs } from 'node:util'
import { soak } from './soak-run.js'

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '120' }, seed: { type: 'string', default: '1' } },
})
const seconds = Number(values.seconds)
if (!(seconds >= 1 && seconds <= 3600)) throw new Error('--seconds must be between 1 and 3600')

const report = await soak({
  milliseconds: seconds * 1000,
  seed: Number(values.seed),
  log: (line) => process.stdout.write(`${line}\n`),
})
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
process.exitCode = report.failed === 0 && report.unhandled.length === 0 && report.socketsLeft === 0 ? 0 : 1
