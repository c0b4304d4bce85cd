import type { ReleaseStatus } from '@canary-release/core'

/** All that the picture shows of one moment. */
export interface Scene {
  readonly seconds: number
  /** `null`: the release was finished, everything goes to A's new location. */
  readonly status: ReleaseStatus | null
  readonly guard: { readonly verdict: string; readonly evidence: number; readonly needed: number } | null
  readonly measured: number
  readonly requests: number
  readonly moved: number
  readonly callers: number
  readonly wentBack: number
}

export interface Look {
  readonly width: number
  readonly color: boolean
}

const count = (value: number): string => String(value).replaceAll(/\B(?=(?:\d{3})+$)/g, ' ')
const percent = (value: number): string => `${value.toFixed(1)} %`
const asked = ({ bucketsOnB, steps }: ReleaseStatus): number => (100 * bucketsOnB) / steps

/** The picture of one moment, line by line. */
export function draw(scene: Scene, { width, color }: Look): string[] {
  const paint = (code: number, text: string) => (color ? `\u001b[${code}m${text}\u001b[0m` : text)
  const { status } = scene
  if (status === null) return ['', ' The release is finished: A has taken the place of B.', '', '', '', '']
  const wide = Math.max(10, Math.min(100, width - 4))
  const filled = Math.round((wide * status.bucketsOnB) / status.steps)
  const bar = paint(33, '█'.repeat(filled)) + paint(90, '░'.repeat(wide - filled))
  const loud = status.state === 'rolled-back' ? 31 : 32
  return [
    '',
    ` ${bar}`,
    ` ${status.bucketsOnB} of ${status.steps} buckets on B: ${paint(1, percent(asked(status)))} asked for, ${paint(1, percent(scene.measured))} measured, ${count(scene.requests)} requests`,
    ` ${scene.moved} of ${scene.callers} callers moved to B, ${paint(scene.wentBack === 0 ? 32 : 31, String(scene.wentBack))} ever went back`,
    ` ${paint(loud, stateText(status))}`,
    ` ${guardText(scene)}`,
  ].map((line) => fit(line, width))
}

/** The same moment as one line, for logs. */
export function line(scene: Scene): string {
  const { status, seconds } = scene
  if (status === null) return `${seconds} s  finished: A has taken the place of B`
  return [
    `${seconds} s`,
    `asked ${percent(asked(status))}`,
    `measured ${percent(scene.measured)}`,
    `${count(scene.requests)} requests`,
    `${scene.moved} moved`,
    `${scene.wentBack} went back`,
    stateText(status),
    guardText(scene),
  ].join('  ')
}

function stateText({ state, reason }: ReleaseStatus): string {
  return reason === null ? state : reason.startsWith(state.split('-')[0] ?? state) ? reason : `${state}: ${reason}`
}

function guardText({ guard }: Scene): string {
  if (guard === null) return 'guard off'
  return `guard ${guard.verdict}, evidence ${guard.evidence < 10 ? guard.evidence.toFixed(1) : count(Math.round(guard.evidence))} of ${guard.needed}`
}

/** No longer than the terminal is wide: a line that wraps would spoil what is drawn over it. */
function fit(text: string, width: number): string {
  // oxlint-disable-next-line no-control-regex -- the colours are what it looks for
  const visible = text.replaceAll(/\u001b\[\d+m/g, '')
  return visible.length <= width ? text : `${visible.slice(0, Math.max(0, width - 1))}…`
}
