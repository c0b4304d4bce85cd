import { ArgumentError, HELP, readArguments } from './arguments.js'
import { sentenceOf } from './listen.js'
import { startDemo } from './demo.js'
import { show } from './show.js'

// `npm start`: a release that moves from A to B while you watch.
try {
  const args = readArguments(process.argv.slice(2))
  if (args === null) {
    process.stdout.write(HELP)
  } else {
    const demo = await startDemo(args)
    show(demo)
  }
} catch (error) {
  const hint = error instanceof ArgumentError ? '\nnpm start -- --help says what there is.' : ''
  process.stderr.write(`${sentenceOf(error)}${hint}\n`)
  process.exitCode = 1
}
