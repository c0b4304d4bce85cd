import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type Hash, createRelease } from '../src/entries/index.js'

const OLD = 'an old secret of 32 characters ..'
const NEW = 'a new secret of 32 characters ...'

const logger = { info() {}, warn() {}, error() {} }
const releaseWith = (hash: Hash) =>
  createRelease({ name: 'orders-v2', upstreams: { A: 'http://a', B: 'http://b' }, percentage: 50, hash, logger })

const signed = (id: string, secret = NEW, name = 'canary_id') =>
  `${id}.${createHmac('sha256', secret).update(`${name}=${id}`).digest('base64url')}`

describe('ids in cookies with secrets', () => {
  const release = releaseWith({ cookie: 'canary_id', secrets: [NEW, OLD] })
  const plain = releaseWith({ cookie: 'canary_id' })
  const decide = (value: string) => release.decide({ cookies: { canary_id: value } })

  test('are given out signed by the first secret, and hashed without the signature from the first request on', () => {
    for (let i = 0; i < 50; i += 1) {
      const first = release.decide()
      const value = /^canary_id=([^;]+); Path=\/;/.exec(first.setCookie ?? '')?.[1] ?? ''
      const id = value.slice(0, -44)
      expect(value).toBe(signed(id))
      const again = decide(value)
      expect(again).toMatchObject({ bucket: first.bucket, upstream: first.upstream, hashedBy: 'cookie' })
      expect(again.setCookie).toBeUndefined()
      // The bucket is that of the id alone, as without secrets.
      expect(plain.decide({ cookies: { canary_id: id } }).bucket).toBe(first.bucket)
    }
  })

  test('hold where an older secret signed them', () => {
    const decision = decide(signed('visitor-1', OLD))
    expect(decision.setCookie).toBeUndefined()
    expect(decision.bucket).toBe(plain.decide({ cookies: { canary_id: 'visitor-1' } }).bucket)
  })

  test.each([
    ['unsigned', 'visitor-1'],
    ['signed by somebody else', signed('visitor-1', 'a secret of somebody else ......')],
    ['signed for another cookie', signed('visitor-1', NEW, 'other_id')],
    ['another one with that signature', signed('visitor-1').replace('visitor-1', 'visitor-2')],
    ['cut short', signed('visitor-1').slice(0, -1)],
    ['longer', `${signed('visitor-1')}A`],
    ['without an id', signed('')],
    ['only a signature', signed('visitor-1').slice(-43)],
    ['no text of base64url', `visitor-1.${'*'.repeat(43)}`],
    ['with another text for the same bytes', otherText(signed('visitor-1'))],
    ['very long', 'x'.repeat(100_000)],
  ])('that are %s are replaced by a fresh one', (_kind, value) => {
    const decision = decide(value)
    const given = /^canary_id=([^;]+);/.exec(decision.setCookie ?? '')?.[1] ?? ''
    expect(given).toBe(signed(given.slice(0, -44)))
    expect(given.slice(0, -44)).toMatch(/^[0-9a-f-]{36}$/)
    expect(decide(given).bucket).toBe(decision.bucket)
  })

  test('are explained by what is hashed', () => {
    expect(release.explain({ cookies: { canary_id: signed('visitor-1') } }).identity).toBe('visitor-1')
  })

  test('need secrets of 16 characters, which no message repeats', () => {
    for (const secrets of [[], ['short-secret'], 'a text of many characters', [42], null]) {
      const hash = { cookie: 'canary_id', secrets } as unknown as Hash
      expect(() => releaseWith(hash)).toThrow(/^hash\.secrets\S* must be a list of one secret or more/)
      expect(() => releaseWith(hash)).not.toThrow(/short-secret/)
    }
    expect(() => releaseWith({ header: 'x', secrets: [NEW] } as unknown as Hash)).toThrow(/^hash must be/)
    expect(JSON.stringify(release.status())).not.toContain('secret')
  })

  test('without secrets are taken as they come, signed or not', () => {
    for (const value of ['visitor-1', signed('visitor-1')]) {
      const decision = plain.decide({ cookies: { canary_id: value } })
      expect(decision.setCookie).toBeUndefined()
      expect(plain.explain({ cookies: { canary_id: value } }).identity).toBe(value)
    }
  })

  test('stay with the evidence of a guard where only the secrets change', () => {
    const guarded = createRelease({
      name: 'orders-v2',
      upstreams: { A: 'http://a', B: 'http://b' },
      percentage: 50,
      hash: { cookie: 'canary_id', secrets: [OLD] },
      guard: true,
      logger,
    })
    const { guard } = guarded
    guarded.update({ hash: { cookie: 'canary_id', secrets: [NEW, OLD] } })
    expect(guarded.guard).toBe(guard)
    guarded.update({ hash: { cookie: 'other_id', secrets: [NEW, OLD] } })
    expect(guarded.guard).not.toBe(guard)
    guarded.close()
  })
})

/** The last character holds two bits that are nobody's: another one stands for the same bytes. */
function otherText(value: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return value.slice(0, -1) + (alphabet[alphabet.indexOf(value.at(-1) ?? '') + 1] ?? '')
}
