import { IncomingMessage, type IncomingHttpHeaders } from 'node:http'
import { Socket } from 'node:net'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RequestFacts } from '../src/request/request-facts.js'
import type { Trust } from '../src/request/trust.js'

/** As a request from `peer` is read where the framework trusts `trust`. */
function clientIp(peer: string, headers: IncomingHttpHeaders, trust: Trust, realIpHeader: string): string {
  const socket = new Socket()
  Object.defineProperty(socket, 'remoteAddress', { value: peer })
  const request = Object.assign(new IncomingMessage(socket), { headers })
  const nothing = () => {}
  const reading = {
    consumer: null,
    groups: null,
    user: nothing,
    trustConfigured: () => true,
    trust: () => trust,
    address: null,
    realIpHeader,
    reports: { reportOnce: nothing, warnOnce: nothing },
  }
  return new RequestFacts(null, request, reading).ip()
}

/** Trusts the proxies of a private network. */
const PRIVATE: Trust = (address) => address.startsWith('10.')
const NOBODY: Trust = () => false
const EVERYBODY: Trust = () => true

describe('the address of a client', () => {
  for (const [what, header, value, address] of [
    ['is the last that is not trusted', 'x-forwarded-for', '198.51.100.1, 203.0.113.9, 10.0.0.2', '203.0.113.9'],
    ['is the first where all are trusted', 'x-forwarded-for', '10.0.0.3,10.0.0.2', '10.0.0.3'],
    ['has no port', 'x-forwarded-for', '203.0.113.9:4711', '203.0.113.9'],
    ['has no brackets', 'x-forwarded-for', '[2001:db8::1]:443', '2001:db8::1'],
    ['has one spelling', 'x-forwarded-for', '2001:DB8:0:0::1', '2001:db8::1'],
    ['is not read past what is none', 'x-forwarded-for', '203.0.113.9, unknown, 10.0.0.2', '10.0.0.2'],
    ['is not read past a gap', 'x-forwarded-for', '203.0.113.9,, 10.0.0.2', '10.0.0.2'],
    ['is not read past a bracket that stays open', 'x-forwarded-for', '203.0.113.9, [2001:db8::1', '10.0.0.1'],
    ['is not read past a port that is none', 'x-forwarded-for', '203.0.113.9, [2001:db8::1]:http', '10.0.0.1'],
    ['is not read past a long entry', 'x-forwarded-for', `203.0.113.9, ${'1'.repeat(65)}`, '10.0.0.1'],
    ['is the peer without the header', 'x-forwarded-for', '', '10.0.0.1'],
    [
      'comes out of Forwarded',
      'forwarded',
      'for=198.51.100.1, for=203.0.113.9;proto=https, for=10.0.0.2',
      '203.0.113.9',
    ],
    ['may be quoted there', 'forwarded', 'For="[2001:db8::1]:443"', '2001:db8::1'],
    ['may be quoted there with backslashes', 'forwarded', 'for="203.0.113\\.9"', '203.0.113.9'],
    ['is not read past an element without one', 'forwarded', 'for=203.0.113.9, proto=https', '10.0.0.1'],
    ['is not read past a hidden one', 'forwarded', 'for=203.0.113.9, for=_hidden', '10.0.0.1'],
    ['is not read out of a broken header', 'forwarded', 'for=203.0.113.9, for="10.0.0.2', '10.0.0.1'],
    ['is not read out of elements without commas', 'forwarded', 'for=203.0.113.9 for=10.0.0.2', '10.0.0.1'],
    ['is not read out of an empty value', 'forwarded', 'for=203.0.113.9, for=', '10.0.0.1'],
    ['comes out of a header of its own', 'x-real-ip', ' 203.0.113.9 ', '203.0.113.9'],
    ['is the peer where that header has two', 'x-real-ip', '203.0.113.9, 10.0.0.2', '10.0.0.1'],
  ] as const) {
    it(`${what}: ${header}: ${value.slice(0, 60)}`, () => {
      expect(clientIp('::ffff:10.0.0.1', { [header]: value }, PRIVATE, header)).toBe(address)
    })
  }

  const headerNames = fc.constantFrom('x-forwarded-for', 'forwarded', 'x-real-ip')
  const values = fc.oneof(
    fc.string({ maxLength: 200 }),
    fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ maxLength: 8 }))).map((list) => list.join(',')),
    fc.array(fc.oneof(fc.ipV4(), fc.ipV6()).map((ip) => `for="[${ip}]";by=x`)).map((list) => list.join(', ')),
  )

  it('is the peer whatever the header says, where the peer is not trusted', () => {
    fc.assert(
      fc.property(headerNames, values, (name, value) => {
        expect(clientIp('203.0.113.1', { [name]: value }, NOBODY, name)).toBe('203.0.113.1')
        expect(clientIp('', { [name]: value }, EVERYBODY, name)).toBe('')
      }),
      { seed: 7001 },
    )
  })

  it('is not moved by anything that is put before the entry of a stranger', () => {
    fc.assert(
      fc.property(values, (value) => {
        const header = { 'x-forwarded-for': `${value}, 203.0.113.9, 10.0.0.2` }
        expect(clientIp('10.0.0.1', header, PRIVATE, 'x-forwarded-for')).toBe('203.0.113.9')
      }),
      { seed: 7002 },
    )
  })
})
