// Reads a long declarative file on the built package, once or several times at once, and prints how it went, how often the
// event loop turned and how many threads there were at a time.
import { parseDeclarative } from '@canary-release/core/registry'

const [, , format, records = '0', wrong = '', times = '1'] = process.argv
const services = Array.from({ length: Number(records) }, (_, i) => ({
  name: `service-${i}`,
  url: `http://host-${i}.example:8080/path`,
  ...(wrong === '' ? {} : { colour: 'red' }),
}))
const json = JSON.stringify({ _format_version: '3.0', services })
const yaml = `_format_version: "3.0"\nservices:\n${services.map((service) => `- ${JSON.stringify(service)}\n`).join('')}`
const text = format === 'json' ? json : yaml

let turns = 0
let reading = true
const turn = () => {
  turns += 1
  if (reading) setImmediate(turn)
}
turn()
let threads = 0
let mostThreads = 0
process.on('worker', (worker) => {
  threads += 1
  mostThreads = Math.max(mostThreads, threads)
  worker.once('exit', () => (threads -= 1))
})
const read = () =>
  parseDeclarative(text).then(
    ({ bodies }) => `${bodies.length} bodies`,
    (error) => String(error.message).split('\n')[0],
  )
const [outcome] = await Promise.all(Array.from({ length: Number(times) }, read))
reading = false
process.stdout.write(JSON.stringify({ outcome, turns, mostThreads }))
