import { RELEASE, consumerKey, consumerName } from './releases.js'
import type { Demo } from './demo.js'
import { draw, line } from './picture.js'

const SOMEBODY = 7

/** What a reader may try while it runs; a test runs each line as printed. */
export function commandsOf({ gateway, admin }: Pick<Demo, 'gateway' | 'admin'>): { try: string[]; operate: string[] } {
  const release = `${admin}/canaries/${RELEASE}`
  return {
    try: [
      `curl -H 'apikey: ${consumerKey(SOMEBODY)}' ${gateway}/orders/1`,
      `curl -H 'x-canary: always' ${gateway}/orders/1`,
      `curl '${release}/explain?consumer=${consumerName(SOMEBODY)}'`,
    ],
    operate: [
      `curl -X PATCH ${admin}/plugins/${RELEASE} --data config.percentage=25`,
      `curl -X POST ${release}/rollback --data 'reason=just trying'`,
      `curl -X PATCH ${admin}/plugins/${RELEASE} --data config.percentage=50`,
      `curl -X POST ${release}/promote`,
    ],
  }
}

/** Shows a demo until Ctrl-C: a live picture on a terminal, a line a second elsewhere. */
export function show(demo: Demo, out: NodeJS.WriteStream = process.stdout): void {
  const commands = commandsOf(demo)
  const lines = [
    `canary-release: ${demo.framework} on ${demo.gateway}/orders, Admin API on ${demo.admin}, records in ${demo.file}`,
    '',
    'Try:',
    ...commands.try.map((command) => `  ${command}`),
    'Operate it as Kong:',
    ...commands.operate.map((command) => `  ${command}`),
    'Ctrl-C ends it.',
  ]
  out.write(`${lines.join('\n')}\n`)
  const next = out.isTTY ? livePicture(demo, out) : () => out.write(`${line(demo.scene())}\n`)
  const timer = setInterval(next, out.isTTY ? 200 : 1000)
  next()

  const end = () => {
    clearInterval(timer)
    if (out.isTTY) out.write('\u001b[?25h\n')
    // Nothing that hangs may keep the terminal.
    setTimeout(() => process.exit(0), 1000).unref()
    demo.close().then(
      () => process.exit(0),
      () => process.exit(0),
    )
  }
  process.once('SIGINT', end).once('SIGTERM', end)
}

/** Draws over what it drew before. */
function livePicture(demo: Demo, out: NodeJS.WriteStream): () => void {
  let drawn = 0
  out.write('\u001b[?25l')
  return () => {
    const look = { width: out.columns || 80, color: process.env['NO_COLOR'] === undefined }
    const lines = draw(demo.scene(), look)
    const up = drawn === 0 ? '' : `\u001b[${drawn}A`
    out.write(up + lines.map((each) => `\u001b[2K${each}\n`).join(''))
    drawn = lines.length
  }
}
