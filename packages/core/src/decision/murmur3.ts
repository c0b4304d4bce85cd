/**
 * MurmurHash3 x86 32-bit (Austin Appleby, public domain), over the UTF-8 bytes of a text, seed 0.
 * The hash of `prefix + text` is wanted for many texts and one prefix, so the prefix is hashed once
 * and the state is carried on.
 */

const C1 = 0xcc9e2d51
const C2 = 0x1b873593

const encoder = new TextEncoder()

/** The state after the whole 4-byte blocks of a prefix, and its 0 … 3 bytes left over. */
export interface HashPrefix {
  readonly state: number
  /** The bytes left over, little-endian. */
  readonly tail: number
  /** How many bytes are left over. */
  readonly tailLength: number
  /** All bytes of the prefix. */
  readonly length: number
}

function mixBlock(state: number, block: number): number {
  let k = Math.imul(block, C1)
  k = (k << 15) | (k >>> 17)
  const h = state ^ Math.imul(k, C2)
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

function finish(state: number, tail: number, tailLength: number, length: number): number {
  let h = state
  if (tailLength > 0) {
    const k = Math.imul(tail, C1)
    h ^= Math.imul((k << 15) | (k >>> 17), C2)
  }
  h ^= length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Hashes a prefix once, to be gone on from by {@link hashWithPrefix}. */
export function hashPrefix(text: string): HashPrefix {
  const bytes = encoder.encode(text)
  const whole = bytes.length & ~3
  let state = 0
  for (let i = 0; i < whole; i += 4) state = mixBlock(state, littleEndian(bytes, i, 4))
  const tailLength = bytes.length - whole
  return { state, tail: littleEndian(bytes, whole, tailLength), tailLength, length: bytes.length }
}

function littleEndian(bytes: Uint8Array, from: number, count: number): number {
  let block = 0
  for (let i = 0; i < count; i += 1) block |= (bytes[from + i] ?? 0) << (8 * i)
  return block
}

/**
 * The hash of the prefix followed by `text`, 0 … 2³²−1. A lone surrogate counts as U+FFFD.
 * Texts of ASCII characters, nearly all identities, take a path without encoding: four characters are a block.
 */
export function hashWithPrefix(prefix: HashPrefix, text: string): number {
  const { length } = text
  let h = prefix.state
  let block = prefix.tail
  let shift = prefix.tailLength << 3
  let seen = 0
  let i = 0
  if (shift > 0) {
    for (; i < length && shift < 32; i += 1, shift += 8) {
      const code = text.charCodeAt(i)
      seen |= code
      block |= code << shift
    }
    if (shift === 32) {
      h = mixBlock(h, block)
      block = 0
      shift = 0
    }
  }
  if (shift === 0) {
    for (const last = length - 3; i < last; i += 4) {
      const a = text.charCodeAt(i)
      const b = text.charCodeAt(i + 1)
      const c = text.charCodeAt(i + 2)
      const d = text.charCodeAt(i + 3)
      seen |= a | b | c | d
      h = mixBlock(h, a | (b << 8) | (c << 16) | (d << 24))
    }
    for (; i < length; i += 1, shift += 8) {
      const code = text.charCodeAt(i)
      seen |= code
      block |= code << shift
    }
  }
  return seen > 127 ? hashEncoded(prefix, text) : finish(h, block, shift >> 3, prefix.length + length)
}

function hashEncoded(prefix: HashPrefix, text: string): number {
  // TextEncoder writes U+FFFD for a lone surrogate.
  const bytes = encoder.encode(text)
  let h = prefix.state
  let block = prefix.tail
  let shift = prefix.tailLength << 3
  for (const byte of bytes) {
    block |= byte << shift
    shift += 8
    if (shift === 32) {
      h = mixBlock(h, block)
      block = 0
      shift = 0
    }
  }
  return finish(h, block, shift >> 3, prefix.length + bytes.length)
}
