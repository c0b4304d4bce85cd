import { ArgumentError, HELP, readArguments } from './arguments.js'
import { startDemo } from './demo.js'
import { sentenceOf } from './listen.js'
import { show } from './show.js'

// `npm start`: a release that moves from A to B while you watch.
const closing: (() => unknown)[] = []

function end(): void {
  // Nothing that hangs may keep the terminal.
  setTimeout(() => process.exit(0), 1000).unref()
  const closed = closing.splice(0).reverse()
  Promise.all(closed.map((close) => close())).finally(() => process.exit(0))
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, end)
// `npm start | head`: nobody reads on.
process.stdout.on('error', end)

try {
  const args = readArguments(process.argv.slice(2))
  if (args === null) {
    process.stdout.write(HELP)
  } else {
    const demo = await startDemo(args)
    closing.push(demo.close)
    closing.push(show(demo))
  }
} catch (error) {
  const hint = error instanceof ArgumentError ? '\nnpm start -- --help says what there is.' : ''
  process.stderr.write(`${sentenceOf(error)}${hint}\n`)
  process.exitCode = 1
}
