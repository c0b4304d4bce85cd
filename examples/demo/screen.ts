import type { WriteStream } from 'node:tty'
import { type Look, visible } from './picture.js'

const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'
const REST_OF_LINE = '\u001b[K'
const REST_OF_SCREEN = '\u001b[J'

/** How wide the terminal is, and whether its user wants colours (https://no-color.org). */
export function lookOf(terminal: Pick<WriteStream, 'columns'>, environment: NodeJS.ProcessEnv): Look {
  return { width: terminal.columns || 80, color: (environment['NO_COLOR'] ?? '') === '' }
}

/** What draws one picture over the one before: what to write for `lines` on a terminal of a width and height. */
export function createScreen(): (lines: readonly string[], width: number, height: number) => string {
  let before: readonly string[] = []
  return (lines, width, height) => {
    // A terminal that became narrower has broken the old lines anew.
    const rows = before.reduce((sum, each) => sum + Math.max(1, Math.ceil(visible(each).length / width)), 0)
    const up = rows === 0 ? HIDE_CURSOR : `\u001b[${rows}A`
    // What has left the screen at its top cannot be drawn over.
    before = lines.slice(0, Math.max(1, height - 1))
    return up + before.map((each) => `${each}${REST_OF_LINE}\n`).join('') + REST_OF_SCREEN
  }
}

/** Gives the terminal back as it was. */
export const LEAVE_SCREEN = SHOW_CURSOR
