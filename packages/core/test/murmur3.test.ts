import * as fc from 'fast-check'
import murmurHash3 from 'murmurhash3js-revisited'
import { expect, test } from 'vitest'
import { hashPrefix, hashWithPrefix } from '../src/decision/murmur3.js'

/** Each text is encoded by itself: two halves of a surrogate pair do not meet. */
const published = (...texts: string[]): number =>
  murmurHash3.x86.hash32(
    texts.flatMap((text) => Array.from(new TextEncoder().encode(text))),
    0,
  )
const SEED = 20_260_101

const texts = {
  'ASCII texts': fc.string({ unit: 'binary-ascii', maxLength: 80 }),
  'Unicode texts': fc.string({ unit: 'binary', maxLength: 80 }),
  'graphemes of several code points': fc.string({ unit: 'grapheme-composite', maxLength: 40 }),
  'any UTF-16, lone surrogates too': fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 60 })
    .map((codes) => String.fromCharCode(...codes)),
}

for (const [name, text] of Object.entries(texts)) {
  test(`hashes ${name} as the published implementation hashes their UTF-8 bytes`, () => {
    fc.assert(
      fc.property(text, text, (prefix, rest) => {
        expect(hashWithPrefix(hashPrefix(prefix), rest)).toBe(published(prefix, rest))
      }),
      { seed: SEED, numRuns: 2000 },
    )
  })
}

test('gives the same hash wherever a text is split into prefix and rest', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), fc.nat(), (text, at) => {
      const points = [...text]
      const split = points.length === 0 ? 0 : at % (points.length + 1)
      const prefix = points.slice(0, split).join('')
      expect(hashWithPrefix(hashPrefix(prefix), points.slice(split).join(''))).toBe(published(text))
    }),
    { seed: SEED, numRuns: 3000 },
  )
})

test('hashes each length of prefix and rest from 0 to 12 characters, a NUL, and the last ASCII and first other character', () => {
  for (let before = 0; before <= 12; before += 1) {
    for (let after = 0; after <= 12; after += 1) {
      for (const last of ['', '\u0000', '\u007f', '\u0080', 'ÿ', '\uffff', '🐤']) {
        const prefix = 'p'.repeat(before)
        const rest = 'r'.repeat(after) + last
        expect(hashWithPrefix(hashPrefix(prefix), rest), `${before} and ${after} ${last}`).toBe(published(prefix, rest))
      }
    }
  }
})

test('hashes 100 KB as the published implementation does, with and without a character outside ASCII', () => {
  for (const text of ['x'.repeat(102_400), `${'x'.repeat(102_400)}é`, '🐤'.repeat(25_600)]) {
    expect(hashWithPrefix(hashPrefix('canary:'), text)).toBe(published('canary:', text))
  }
})
