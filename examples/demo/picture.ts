import type { ReleaseStatus } from '@canary-release/core'
import { FINISHED, type Scene, askedOf, countText, guardText, percentText, stateText } from './scene.js'

export interface Look {
  /** Columns of the terminal. */
  readonly width: number
  readonly color: boolean
}

type Paint = (color: keyof typeof COLORS, text: string) => string

const COLORS = { bold: 1, red: 31, green: 32, yellow: 33, gray: 90 } as const
const MARGIN = '  '
/** As wide as the names before the figures. */
const LABEL = 12
const METER = 30

/** The picture of one moment, line by line; none is longer than the terminal is wide. */
export function draw(scene: Scene, { width, color }: Look): string[] {
  const paint: Paint = (name, text) => (color && text !== '' ? `\u001b[${COLORS[name]}m${text}\u001b[0m` : text)
  const { status } = scene
  if (status === null) return ['', fit(MARGIN + FINISHED, width)]
  const row = (label: string, text: string) => `${MARGIN}${paint('gray', label.padEnd(LABEL))}${text}`
  const share = (percent: number) =>
    `${paint('bold', percentText(percent).padStart(7))}  ${meter(percent / 100, paint)}`
  return [
    '',
    ...wrap(stateText(status), width - MARGIN.length).map((text) => MARGIN + paint(stateColor(status), text)),
    '',
    ...bucketBar(status, width - 2 * MARGIN.length).map(
      ([onB, onA]) => MARGIN + paint('yellow', onB) + paint('gray', onA),
    ),
    '',
    row('buckets', `${status.bucketsOnB} of ${status.steps} on B`),
    row('asked for', share(askedOf(status))),
    row('measured', share(scene.measured)),
    row('moved to B', `${scene.moved} of ${scene.callers} callers`),
    row('went back', paint(scene.wentBack === 0 ? 'green' : 'red', String(scene.wentBack))),
    row('requests', requestsText(scene.requests, status, paint)),
    row('guard', `${guardText(scene)}${evidenceMeter(scene, paint)}`),
  ].map((text) => fit(text, width))
}

/** The buckets, those on B and those on A of each line: as many lines as it takes to show every one. */
function bucketBar({ bucketsOnB, steps }: ReleaseStatus, room: number): [string, string][] {
  const perLine = [100, 50, 25, 20, 10].find((columns) => columns <= room) ?? 5
  return Array.from({ length: Math.ceil(steps / perLine) }, (_, index) => {
    const here = Math.min(perLine, steps - index * perLine)
    const onB = Math.max(0, Math.min(here, bucketsOnB - index * perLine))
    return ['█'.repeat(onB), '░'.repeat(here - onB)]
  })
}

function meter(part: number, paint: Paint): string {
  const filled = Math.round(METER * Math.max(0, Math.min(1, part)))
  return paint('yellow', '━'.repeat(filled)) + paint('gray', '─'.repeat(METER - filled))
}

/** Evidence multiplies, so that its meter shows the logarithm. */
function evidenceMeter({ guard }: Scene, paint: Paint): string {
  if (guard === null) return ''
  const part = Math.log(Math.max(1, guard.evidence)) / Math.log(guard.needed)
  const filled = Math.floor(METER * Math.min(1, part))
  return `  ${paint('red', '━'.repeat(filled))}${paint('gray', '─'.repeat(METER - filled))}`
}

function requestsText(requests: number, { counts: { A, B } }: ReleaseStatus, paint: Paint): string {
  const failed = A.failures + B.failures
  const text = `${countText(requests)}, failed on A ${countText(A.failures)}, on B ${countText(B.failures)}`
  return failed === 0 ? text : paint('red', text)
}

function stateColor({ state }: ReleaseStatus): keyof typeof COLORS {
  if (state === 'rolled-back') return 'red'
  return state === 'paused' ? 'yellow' : 'green'
}

/** Breaks at spaces, but for those within a figure: `5 890`, `4.5 %`. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(/ (?!(?<=\d )(?:\d{3}\b|%))/)) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

/** What a reader sees of a text, without its colours. */
export function visible(text: string): string {
  // oxlint-disable-next-line no-control-regex -- the colours are what it looks for
  return text.replaceAll(/\u001b\[\d+m/g, '')
}

/** A line that wraps would spoil what is drawn over it. */
function fit(text: string, width: number): string {
  const seen = visible(text)
  return seen.length <= width ? text : `${seen.slice(0, Math.max(0, width - 1))}…`
}
