import { hashPrefix, hashWithPrefix } from '../decision/murmur3.js'
import type { SavedIdentities } from './saved/saved-run.js'

const BITS = 2 ** 20
const PROBES = 4
/** Identities that are saved one by one; of more the filter itself. */
const MOST_SAVED = 5000

// A prefix of its own keeps this hash apart from the one that chooses buckets: what the filter takes for the same
// identity then has nothing to do with the arm it is in.
const PREFIX = hashPrefix('guard\u0000identity\u0000')

/** A 32-bit number, signed, that stands for an identity within the guard; independent of its bucket. */
export function hashIdentity(identity: string): number {
  return hashWithPrefix(PREFIX, identity) | 0
}

/**
 * Remembers which identities were seen, in 128 KiB whatever their number (a Bloom filter).
 *
 * Where it takes an unknown identity for a known one (1 % of them after 110 000, 10 % after 200 000), that one is not
 * counted. This costs evidence in both arms alike and never makes any.
 */
export class IdentityFilter {
  #bits: Int32Array | null = null
  #set = 0
  /** Those added since the filter itself was saved; `null`: too many. */
  #added: number[] | null = []
  /** Whether the filter itself was saved before them. */
  #based = false

  /** Whether so many identities were seen that half of the unknown ones would be taken for known. */
  get full(): boolean {
    return this.#set > BITS * 0.84
  }

  has(hash: number): boolean {
    const bits = this.#bits
    if (bits === null) return false
    const stride = strideOf(hash)
    for (let probe = 0, at = hash; probe < PROBES; probe += 1, at = (at + stride) | 0) {
      const bit = at & (BITS - 1)
      if (((bits[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false
    }
    return true
  }

  /** Remembers an identity. False: it was known already, or is taken for one that was. */
  add(hash: number): boolean {
    const bits = (this.#bits ??= new Int32Array(BITS / 32))
    const stride = strideOf(hash)
    let fresh = false
    for (let probe = 0, at = hash; probe < PROBES; probe += 1, at = (at + stride) | 0) {
      const bit = at & (BITS - 1)
      const word = bits[bit >>> 5] ?? 0
      const mask = 1 << (bit & 31)
      if ((word & mask) !== 0) continue
      bits[bit >>> 5] = word | mask
      this.#set += 1
      fresh = true
    }
    if (fresh) this.#remember(hash)
    return fresh
  }

  clear(): void {
    this.#bits?.fill(0)
    this.#set = 0
    this.#added = []
    this.#based = false
  }

  /** Whether so many identities were added that the filter itself must be saved before {@link save}. */
  get isOutgrown(): boolean {
    return this.#added === null
  }

  /** What was added since the filter itself was saved, if it ever was. */
  save(): SavedIdentities {
    return { based: this.#based, hashes: [...(this.#added ?? [])] }
  }

  /** The filter itself. */
  saveBits(): Uint8Array {
    return new Uint8Array((this.#bits?.slice() ?? new Int32Array(BITS / 32)).buffer)
  }

  /** Says that what {@link saveBits} gave is kept: {@link save} is from then on what comes on top. */
  rebase(): void {
    this.#added = []
    this.#based = true
  }

  /** Before {@link restore}, if there were bits. */
  restoreBits(bits: Uint8Array): void {
    const words = (this.#bits ??= new Int32Array(BITS / 32))
    words.set(new Int32Array(bits.slice().buffer).subarray(0, words.length))
    this.#set = 0
    for (let word of words) for (; word !== 0; word &= word - 1) this.#set += 1
    this.rebase()
  }

  restore({ hashes }: SavedIdentities): void {
    for (const hash of hashes) this.add(hash)
  }

  #remember(hash: number): void {
    if (this.#added === null) return
    this.#added.push(hash)
    if (this.#added.length > MOST_SAVED) this.#added = null
  }
}

/** Odd, so that the probes of one identity differ. */
function strideOf(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return (mixed ^ (mixed >>> 13)) | 1
}
