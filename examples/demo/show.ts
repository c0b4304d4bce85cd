import { WriteStream } from 'node:tty'
import { commandsOf } from './commands.js'
import type { Demo } from './demo.js'
import { logLine } from './log-line.js'
import { draw } from './picture.js'
import { LEAVE_SCREEN, createScreen, lookOf } from './screen.js'

/** Shows a demo: a live picture on a terminal, a line a second elsewhere. Returns what ends the show. */
export function show(demo: Demo, out: NodeJS.WriteStream = process.stdout): () => void {
  out.write(`${introduction(demo).join('\n')}\n`)
  // A dumb terminal cannot draw over what it drew.
  const live = out instanceof WriteStream && process.env['TERM'] !== 'dumb'
  const next = live ? livePicture(demo, out) : () => out.write(`${logLine(demo.scene())}\n`)
  const timer = setInterval(next, live ? 200 : 1000)
  next()
  return () => {
    clearInterval(timer)
    if (live) out.write(`${LEAVE_SCREEN}\n`)
  }
}

function introduction(demo: Demo): string[] {
  const commands = commandsOf(demo)
  return [
    `canary-release: ${demo.framework}${demo.processes === 1 ? '' : ` in ${demo.processes} processes`} on ${demo.gateway}/orders, Admin API on ${demo.admin}`,
    `The release is kept in ${demo.kept}.`,
    '',
    'Try, from another terminal:',
    ...commands.try.map((command) => `  ${command}`),
    'Operate it, as with Kong:',
    ...commands.operate.map((command) => `  ${command}`),
    'Ctrl-C ends it.',
  ]
}

function livePicture(demo: Demo, out: WriteStream): () => void {
  const paintOver = createScreen()
  return () => {
    const look = lookOf(out, process.env)
    out.write(paintOver(draw(demo.scene(), look), look.width, out.rows || 24))
  }
}
