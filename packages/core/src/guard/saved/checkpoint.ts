import { z } from 'zod'
import type { IdentityFilter } from '../identity-filter.js'
import { savedRunSchema } from './saved-run.js'

/** Bytes that a checkpoint may unfold to. */
const MOST_BYTES = 8 * 2 ** 20

/** The state of a run as of the end of a tick. */
export interface Checkpoint {
  /** The last tick that it has. */
  readonly tick: number
  /** At most 4 KB, apart from identities. */
  readonly state: string
  /** `null`: those stored before stay. */
  readonly identities: string | null
}

const savedStageSchema = z.strictObject({
  format: z.literal(1),
  stage: z.int().min(1),
  /** Its first tick. */
  begun: z.int(),
  hash: z.string(),
  why: z.enum(['start', 'lost', 'options']),
  /** The last tick with counts. */
  tick: z.int(),
  /** `null`: saved by a process with other options than the stage's. */
  run: savedRunSchema.nullable(),
})

export type SavedStage = z.infer<typeof savedStageSchema>

export interface Restored {
  readonly saved: SavedStage
  /** Bits of the filters of identities; empty where none were saved. */
  readonly filters: readonly Uint8Array[]
}

/** The form of a checkpoint in a store; with the bits of `filters`, where these are to be saved too. */
export async function sealCheckpoint(
  tick: number,
  saved: SavedStage,
  filters: readonly IdentityFilter[] | null,
): Promise<Checkpoint> {
  const own = saved.run
  if (filters === null || own === null) return { tick, state: await deflated(bytesOf(saved)), identities: null }
  const bits = filters.map((filter) => filter.saveBits())
  const { judge } = own
  const based = { based: true, hashes: [] }
  const latency = judge.latency === null ? null : { ...judge.latency, sampled: based }
  const errors = { ...judge.errors, seen: based }
  const run = { ...own, judge: { ...judge, identitiesOfB: based, errors, latency } }
  const identities = await Promise.all(bits.map((each) => deflated(each)))
  return { tick, state: await deflated(bytesOf({ ...saved, run })), identities: identities.join(' ') }
}

/** @throws {Error} for what is no checkpoint of this format */
export async function openCheckpoint({ state, identities }: Checkpoint): Promise<Restored> {
  const saved = savedStageSchema.parse(JSON.parse(new TextDecoder().decode(await inflated(state))))
  if (saved.run === null) return { saved, filters: [] }
  const { identitiesOfB, errors, latency } = saved.run.judge
  const based = [identitiesOfB, errors.seen, ...(latency === null ? [] : [latency.sampled])].map((each) => each.based)
  if (!based.includes(true)) return { saved, filters: [] }
  const stored = identities?.split(' ') ?? []
  if (stored.length !== based.length) throw new RangeError('a checkpoint must come with its identities')
  const filters = stored.map(async (each, i) => (based[i] === true ? inflated(each) : new Uint8Array()))
  return { saved, filters: await Promise.all(filters) }
}

function bytesOf(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

async function deflated(bytes: Uint8Array): Promise<string> {
  let text = ''
  for await (const chunk of through(bytes, new CompressionStream('deflate-raw'))) {
    for (let at = 0; at < chunk.length; at += 8192) text += String.fromCharCode(...chunk.subarray(at, at + 8192))
  }
  return btoa(text)
}

async function inflated(text: string): Promise<Uint8Array> {
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of through(packed, new DecompressionStream('deflate-raw'))) {
    length += chunk.length
    if (length > MOST_BYTES) throw new RangeError(`a checkpoint must unfold to at most ${MOST_BYTES} bytes`)
    chunks.push(chunk)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

function through(bytes: Uint8Array, stream: CompressionStream | DecompressionStream): AsyncIterable<Uint8Array> {
  return new Blob([new Uint8Array(bytes)]).stream().pipeThrough(stream)
}
