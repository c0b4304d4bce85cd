import { type HashPrefix, hashPrefix, hashWithPrefix } from './murmur3.js'

/** The largest number of steps: the hash has no more values. */
export const MAX_STEPS = 4_294_967_296

/** `floor(hash × steps / 2³²)` in exact integers: by the hash's 16-bit halves, as the product may exceed 2⁵³. */
export function bucketOfHash(hash: number, steps: number): number {
  const high = hash >>> 16
  const low = hash & 0xffff
  return Math.floor((high * steps + Math.floor((low * steps) / 65_536)) / 65_536)
}

/** A salt, compiled: buckets of two salts have nothing to do with each other. */
export function compileSalt(salt: string): HashPrefix {
  return hashPrefix(`${salt}:`)
}

/** The bucket, 0 … steps−1, that an identity always falls into. */
export function bucketOf(salt: HashPrefix, identity: string, steps: number): number {
  return bucketOfHash(hashWithPrefix(salt, identity), steps)
}
