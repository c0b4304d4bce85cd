import { randomUUID } from 'node:crypto'
import { type HashPrefix, hashPrefix, hashWithPrefix } from '../../decision/murmur3.js'

const LEAST = 16
const FREE = 0

/**
 * A map from texts that is made for texts nobody has hashed yet, as callers' names are. With 300 000 entries a Map walks
 * through memory that no cache holds, candidate by candidate; here nearly all of them are told apart by one array of
 * hashes. Open addressing, at most half full; seeded, so that nobody can choose names that collide.
 */
export class TextTable<Value> {
  #seed: HashPrefix = hashPrefix(randomUUID())
  #hashes = new Int32Array(LEAST)
  #keys: (string | null)[] = empty(LEAST)
  #values: (Value | null)[] = empty(LEAST)
  #size = 0

  get(text: string): Value | null {
    const hashes = this.#hashes
    const mask = hashes.length - 1
    const hash = this.#hashOf(text)
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const found = hashes[at]
      if (found === FREE) return null
      if (found === hash && this.#keys[at] === text) return this.#values[at] ?? null
    }
  }

  set(text: string, value: Value): void {
    if (this.#put(this.#hashOf(text), text, value)) this.#size += 1
    if (this.#size * 2 > this.#hashes.length) this.#grow()
  }

  delete(text: string): void {
    const mask = this.#hashes.length - 1
    const hash = this.#hashOf(text)
    let at = hash & mask
    while (this.#hashes[at] !== FREE) {
      if (this.#hashes[at] === hash && this.#keys[at] === text) return this.#empty(at)
      at = (at + 1) & mask
    }
  }

  /** Never {@link FREE}. */
  #hashOf(text: string): number {
    return hashWithPrefix(this.#seed, text) | 0 || 1
  }

  /** Whether it is a new one. */
  #put(hash: number, text: string, value: Value): boolean {
    const mask = this.#hashes.length - 1
    let at = hash & mask
    while (this.#hashes[at] !== FREE) {
      if (this.#hashes[at] === hash && this.#keys[at] === text) break
      at = (at + 1) & mask
    }
    const isNew = this.#hashes[at] === FREE
    this.#hashes[at] = hash
    this.#keys[at] = text
    this.#values[at] = value
    return isNew
  }

  /** Frees a place and moves up what stood behind it, so that every search still ends at a free place. */
  #empty(place: number): void {
    const mask = this.#hashes.length - 1
    let gap = place
    for (let at = (gap + 1) & mask; ; at = (at + 1) & mask) {
      const hash = this.#hashes[at] ?? FREE
      if (hash === FREE) break
      // It may move to the gap where that lies between its own place and where it stands.
      if (((at - (hash & mask)) & mask) < ((at - gap) & mask)) continue
      this.#hashes[gap] = hash
      this.#keys[gap] = this.#keys[at] ?? null
      this.#values[gap] = this.#values[at] ?? null
      gap = at
    }
    this.#hashes[gap] = FREE
    this.#keys[gap] = null
    this.#values[gap] = null
    this.#size -= 1
  }

  #grow(): void {
    const [hashes, keys, values] = [this.#hashes, this.#keys, this.#values]
    const length = hashes.length * 2
    this.#hashes = new Int32Array(length)
    this.#keys = empty(length)
    this.#values = empty(length)
    for (const [at, key] of keys.entries()) {
      const value = values[at]
      if (key !== null && value !== null && value !== undefined) this.#put(hashes[at] ?? FREE, key, value)
    }
  }
}

function empty(length: number): null[] {
  return Array.from({ length }, () => null)
}
