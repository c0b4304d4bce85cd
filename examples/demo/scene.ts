import type { ReleaseStatus } from '@canary-release/core'

/** What a guard has seen. */
export interface GuardScene {
  readonly verdict: string
  readonly evidence: number
  readonly needed: number
}

/** All that is shown of one moment. */
export interface Scene {
  /** Since the demo began. */
  readonly seconds: number
  /** `null`: the release was finished, everything goes to A's new location. */
  readonly status: ReleaseStatus | null
  readonly guard: GuardScene | null
  /** B's share of the last requests, in percent. */
  readonly measured: number
  readonly requests: number
  readonly moved: number
  readonly callers: number
  readonly wentBack: number
}

export const FINISHED = 'finished: A has taken the place of B'

export function countText(value: number): string {
  return String(value).replaceAll(/\B(?=(?:\d{3})+$)/g, ' ')
}

export function percentText(value: number): string {
  return `${value.toFixed(1)} %`
}

/** B's share as the release has it now, in percent. */
export function askedOf({ bucketsOnB, steps }: ReleaseStatus): number {
  return (100 * bucketsOnB) / steps
}

/** The state and why it is so, where somebody said: the guard's reasons begin with the state. */
export function stateText({ state, reason }: ReleaseStatus): string {
  if (reason === null) return state
  return /^(rolled back|paused|promoted)\b/.test(reason) ? reason : `${state}: ${reason}`
}

export function guardText({ guard }: Scene): string {
  if (guard === null) return 'off'
  const { verdict, evidence, needed } = guard
  return `${verdict}, evidence ${evidenceText(evidence)} of ${needed}`
}

function evidenceText(evidence: number): string {
  if (evidence < 10) return evidence.toFixed(1)
  return evidence < 1e6 ? countText(Math.floor(evidence)) : evidence.toExponential(0)
}
