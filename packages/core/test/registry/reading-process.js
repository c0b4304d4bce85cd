// Reads a long declarative file on the built package, and prints how it went and how often the event loop turned.
import { parseDeclarative } from '@canary-release/core/registry'

const [, , format, records = '0', wrong = ''] = process.argv
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
const outcome = await parseDeclarative(text).then(
  ({ bodies }) => `${bodies.length} bodies`,
  (error) => String(error.message).split('\n')[0],
)
reading = false
process.stdout.write(JSON.stringify({ outcome, turns }))
