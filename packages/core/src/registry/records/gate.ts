import { rampOf } from '../../release/edit.js'
import { elapsedMsAt, secondsAt } from '../../release/lifecycle.js'
import { mostMsOf } from '../../release/ramp.js'
import type { Plugin } from '../entities/entities.js'
import { shareOfPlugin } from './plugin-edit.js'
import type { StoredRecord } from './rows.js'

/** The record with the time in which its gate held the ramp taken out: what a change goes on from. */
export function heldRecord(plugin: Plugin, record: StoredRecord, nowMs: number): StoredRecord {
  const share = shareOfPlugin(plugin)
  const ramp = rampOf(share)
  const { gate, state } = record
  if (gate === undefined || ramp === null || state === 'rolled-back' || state === 'promoted') return record
  const mostMs = mostMsOf(gate, share)
  if (elapsedMsAt(record, ramp, nowMs) <= mostMs) return record
  return { ...record, elapsed: mostMs / 1000, at: secondsAt(nowMs) }
}

/** The record that lets the ramp reach so many buckets: it goes on from where it was held. */
export function withGate(plugin: Plugin, record: StoredRecord, gate: number, nowMs: number): StoredRecord {
  return { ...heldRecord(plugin, record, nowMs), gate }
}

/** A gate after an edit of the steps: no lower a share. */
export function gateAfterEdit(gate: number, before: Plugin, after: Plugin): number {
  return Math.ceil((gate * after.config.steps) / before.config.steps)
}
