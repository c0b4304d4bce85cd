import { describe, expect, test } from 'vitest'
import { Ledger } from '../examples/demo/ledger.js'
import { logLine } from '../examples/demo/log-line.js'
import { draw, visible } from '../examples/demo/picture.js'
import type { Scene } from '../examples/demo/scene.js'
import { createScreen, lookOf } from '../examples/demo/screen.js'

const status = {
  name: 'orders-v2',
  state: 'running',
  percentage: null,
  bucketsOnB: 25,
  steps: 100,
  start: 0,
  duration: 60,
  endsAt: 60,
  counts: { A: { requests: 1733, failures: 0 }, B: { requests: 577, failures: 0 }, fallback: 0 },
  reason: null,
  by: null,
  at: null,
  elapsed: null,
} as const

const scene: Scene = {
  seconds: 12,
  status,
  guard: { verdict: 'ok', evidence: 0.5, needed: 100 },
  measured: 24.6,
  requests: 2310,
  moved: 47,
  callers: 240,
  wentBack: 0,
}

const reason =
  'rolled back: B failed 14 of 310 requests (4.5 %), A 3 of 5 890 (0.05 %); evidence 412 against the 100 needed'
const rolledBack: Scene = {
  ...scene,
  status: { ...status, state: 'rolled-back', bucketsOnB: 0, reason },
  guard: { verdict: 'breach', evidence: 412, needed: 100 },
}

const plain = { color: false }

describe('the picture of the demo', () => {
  test('is all of a moment', () => {
    expect(draw(scene, { ...plain, width: 104 })).toEqual([
      '',
      '  running',
      '',
      `  ${'█'.repeat(25)}${'░'.repeat(75)}`,
      '',
      '  buckets     25 of 100 on B',
      `  asked for    25.0 %  ${'━'.repeat(8)}${'─'.repeat(22)}`,
      `  measured     24.6 %  ${'━'.repeat(7)}${'─'.repeat(23)}`,
      '  moved to B  47 of 240 callers',
      '  went back   0',
      '  requests    2 310, failed on A 0, on B 0',
      `  guard       ok, evidence 0.5 of 100  ${'─'.repeat(30)}`,
    ])
  })

  test.each([
    [200, [100]],
    [80, [50, 50]],
    [40, [25, 25, 25, 25]],
    [14, [10, 10, 10, 10, 10, 10, 10, 10, 10, 10]],
  ])('shows every bucket on a terminal of %i columns', (width, lengths) => {
    const bars = draw(scene, { ...plain, width }).filter((text) => /^ *[█░]+$/.test(text))
    expect(bars.map((bar) => bar.trim().length)).toEqual(lengths)
    expect(bars.join('').replaceAll(' ', '')).toBe('█'.repeat(25) + '░'.repeat(75))
  })

  test.each([1, 2, 5, 20, 40, 80, 200])('never draws a line longer than the %i columns of the terminal', (width) => {
    for (const shown of [scene, rolledBack, { ...scene, status: null }]) {
      for (const color of [false, true]) {
        for (const text of draw(shown, { width, color })) expect(visible(text).length).toBeLessThanOrEqual(width)
      }
    }
  })

  test('has no colours where none are wanted', () => {
    expect(draw(scene, { width: 80, color: false }).join('')).not.toContain('\u001b')
    expect(draw(scene, { width: 80, color: true }).join('')).toContain('\u001b[33m█')
    expect(draw(scene, { width: 80, color: true }).map(visible)).toEqual(draw(scene, { ...plain, width: 80 }))
  })

  test('says the whole reason of a rollback, without breaking its numbers', () => {
    const lines = draw(rolledBack, { ...plain, width: 70 })
    expect(lines.slice(1, 3)).toEqual([
      '  rolled back: B failed 14 of 310 requests (4.5 %), A 3 of 5 890',
      '  (0.05 %); evidence 412 against the 100 needed',
    ])
    expect(lines.at(-1)).toBe(`  guard       breach, evidence 412 of 100  ${'━'.repeat(29)}…`.slice(0, 69) + '…')
  })

  test('shows evidence by its logarithm: 10 of 100 is half of the way', () => {
    const half = draw({ ...scene, guard: { verdict: 'paused', evidence: 10, needed: 100 } }, { ...plain, width: 104 })
    expect(half.at(-1)).toBe(`  guard       paused, evidence 10 of 100  ${'━'.repeat(15)}${'─'.repeat(15)}`)
  })

  test('says why a person moved the release', () => {
    const moved = { ...scene, status: { ...status, state: 'promoted', reason: 'looks good' } as const }
    expect(draw(moved, { ...plain, width: 80 })[1]).toBe('  promoted: looks good')
  })

  test('says that a release was finished', () => {
    expect(draw({ ...scene, status: null }, { ...plain, width: 80 }).join('')).toContain('A has taken the place of B')
    expect(logLine({ ...scene, status: null })).toBe('12 s  finished: A has taken the place of B')
  })

  test('is one line in a log', () => {
    expect(logLine(scene)).toBe(
      '12 s  asked 25.0 %  measured 24.6 %  2 310 requests  47 moved  0 went back  running  guard ok, evidence 0.5 of 100',
    )
    expect(logLine(rolledBack)).toContain(`  ${reason}  guard breach, evidence 412 of 100`)
  })
})

describe('the screen of the demo', () => {
  test('draws a picture over the one before, and leaves nothing of it', () => {
    const terminal = createTerminal()
    const paintOver = createScreen()
    terminal.write('$ npm start\n')
    terminal.write(paintOver(['first', 'a long line', 'third'], 80, 24))
    terminal.write(paintOver(['first', 'short'], 80, 24))
    terminal.write(paintOver(['one', 'two', 'three', 'four'], 80, 24))
    expect(terminal.rows()).toEqual(['$ npm start', 'one', 'two', 'three', 'four'])
    terminal.write(paintOver(['end'], 80, 24))
    expect(terminal.rows()).toEqual(['$ npm start', 'end'])
  })

  test('goes up as many rows as a terminal made of its lines that became narrower', () => {
    const paintOver = createScreen()
    paintOver(['\u001b[33m123456789\u001b[0m', '', '1234'], 80, 24)
    expect(paintOver(['x'], 4, 24)).toContain('\u001b[5A')
  })

  test('keeps to the rows of a low terminal', () => {
    expect(createScreen()(['1', '2', '3', '4'], 80, 3)).not.toContain('3')
  })

  test('heeds NO_COLOR where it says something, and takes 80 columns where nothing is known', () => {
    expect(lookOf({ columns: 0 }, {})).toEqual({ width: 80, color: true })
    expect(lookOf({ columns: 120 }, { NO_COLOR: '' })).toEqual({ width: 120, color: true })
    expect(lookOf({ columns: 120 }, { NO_COLOR: '1' })).toEqual({ width: 120, color: false })
  })
})

describe('the ledger of the demo', () => {
  const at = (least: number, most = least) => ({ least, most })

  test('counts who moved, once, and nobody who was always on B', () => {
    const ledger = new Ledger()
    for (let i = 0; i < 2; i += 1) {
      ledger.served({ caller: 'ann', side: 'A', bucketsOnB: at(10) })
      ledger.served({ caller: 'ann', side: 'B', bucketsOnB: at(20) })
      ledger.served({ caller: 'bob', side: 'B', bucketsOnB: at(20) })
    }
    expect(ledger.moved).toBe(1)
    expect(ledger.measured).toBeCloseTo(66.67, 1)
  })

  test('counts who went back although as many buckets were on B', () => {
    const ledger = new Ledger()
    ledger.served({ caller: 'ann', side: 'B', bucketsOnB: at(20) })
    ledger.served({ caller: 'ann', side: 'A', bucketsOnB: at(20) })
    expect(ledger.wentBack).toBe(1)
  })

  test('blames nobody for going back after a rollback, nor for an answer that overtook another', () => {
    const ledger = new Ledger()
    ledger.served({ caller: 'ann', side: 'B', bucketsOnB: at(0, 20) })
    ledger.served({ caller: 'ann', side: 'A', bucketsOnB: at(0) })
    ledger.served({ caller: 'bob', side: 'B', bucketsOnB: at(20, 21) })
    ledger.served({ caller: 'bob', side: 'A', bucketsOnB: at(20, 22) })
    expect(ledger.wentBack).toBe(0)
  })

  test('measures the share of the last 200 requests', () => {
    const ledger = new Ledger()
    for (let i = 0; i < 300; i += 1) ledger.served({ caller: 'x', side: i < 150 ? 'A' : 'B', bucketsOnB: at(i) })
    expect(ledger.measured).toBe(75)
  })
})

/** As much of a terminal as the screen uses: rows, a cursor at the start of one, up, and the two ways to erase. */
function createTerminal() {
  const lines: string[] = []
  let row = 0
  // oxlint-disable-next-line no-control-regex -- what a terminal obeys
  const tokens = /\u001b\[(\d*)([A-Za-z])|\u001b\[\?25[hl]|\n|[^\u001b\n]+/g
  const write = (text: string) => {
    let column = 0
    for (const [token, count, action] of text.matchAll(tokens)) {
      const line = lines[row] ?? ''
      if (token === '\n') {
        row += 1
        column = 0
      } else if (action === 'A') row -= Number(count)
      else if (action === 'K') lines[row] = line.slice(0, column)
      else if (action === 'J') lines.length = Math.min(lines.length, row)
      else if (!token.startsWith('\u001b')) {
        lines[row] = line.slice(0, column) + token + line.slice(column + token.length)
        column += token.length
      }
    }
  }
  return { write, rows: () => lines }
}
