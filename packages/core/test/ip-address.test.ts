import { isIPv4, isIPv6 } from 'node:net'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalIp, ipIdentity, isIpv4, parseIpv6 } from '../src/decision/ip-address.js'

/** The URL standard writes an IPv6 host as RFC 5952 does. */
const canonicalByUrl = (address: string) => new URL(`http://[${address}]/`).hostname.slice(1, -1)

const groups = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
const nearlyIpv6 = fc
  .array(fc.constantFrom(':', '::', '0', '1', 'a', 'F', 'ffff', '0db8', '1.2.3.4', '.', 'g', '%eth0', '255', '256'), {
    maxLength: 18,
  })
  .map((parts) => parts.join(''))

test('takes for IPv6 exactly what Node takes', () => {
  const addresses = fc.oneof(fc.ipV6(), nearlyIpv6, fc.string({ maxLength: 20 }))
  fc.assert(
    fc.property(addresses, (text) => {
      expect(parseIpv6(text) !== null, text).toBe(isIPv6(text))
    }),
    { seed: 21, numRuns: 20_000 },
  )
  for (const text of ['', ':', '::', ':::', '1::', '::1', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8::']) {
    expect(parseIpv6(text) !== null, text).toBe(isIPv6(text))
  }
})

test('takes for IPv4 exactly what Node takes', () => {
  const part = fc.constantFrom(
    '0',
    '1',
    '9',
    '01',
    '10',
    '99',
    '100',
    '199',
    '249',
    '255',
    '256',
    '-1',
    '',
    ' 1',
    '1e1',
  )
  const nearly = fc.array(part, { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.'))
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), nearly, fc.ipV4Extended()), (text) => {
      expect(isIpv4(text), text).toBe(isIPv4(text))
    }),
    { seed: 22, numRuns: 5000 },
  )
})

test('has one spelling for each IPv6 address', () => {
  fc.assert(
    fc.property(groups, (numbers) => {
      const plain = numbers.map((group) => group.toString(16)).join(':')
      const padded = numbers.map((group) => group.toString(16).toUpperCase().padStart(4, '0')).join(':')
      const mapped = numbers.slice(0, 5).every((group) => group === 0) && numbers[5] === 0xffff
      if (!mapped) expect(canonicalIp(plain)).toBe(canonicalByUrl(plain))
      expect(canonicalIp(padded)).toBe(canonicalIp(plain))
      expect(canonicalIp(canonicalByUrl(plain))).toBe(canonicalIp(plain))
    }),
    { seed: 23, numRuns: 5000 },
  )
})

test('identifies every address by its network, for every prefix length', () => {
  const bitsOf = (numbers: readonly number[]) => numbers.map((group) => group.toString(2).padStart(16, '0')).join('')
  const textOf = (bits: string) =>
    (bits.match(/.{16}/g) ?? []).map((group) => Number.parseInt(group, 2).toString(16)).join(':')
  fc.assert(
    fc.property(groups, groups, fc.integer({ min: 3, max: 128 }), (one, other, prefix) => {
      // The first three bits 001 keep the addresses clear of the IPv4-mapped ones.
      const network = `001${bitsOf(one).slice(3)}`
      const neighbour = network.slice(0, prefix) + bitsOf(other).slice(prefix)
      expect(ipIdentity(textOf(neighbour), prefix)).toBe(ipIdentity(textOf(network), prefix))
      expect(ipIdentity(textOf(network), prefix)).toBe(
        `${canonicalByUrl(textOf(network.slice(0, prefix).padEnd(128, '0')))}/${prefix}`,
      )
    }),
    { seed: 24, numRuns: 3000 },
  )
})

test('identifies clients as the design says', () => {
  for (const [text, prefix, identity] of [
    ['2001:db8:1:2:3:4:5:6', 64, '2001:db8:1:2::/64'],
    ['2001:DB8:0001:0002::9', 64, '2001:db8:1:2::/64'],
    ['2001:db8:1:2:3:4:5:6', 48, '2001:db8:1::/48'],
    ['2001:db8:1:2:3:4:5:6', 56, '2001:db8:1::/56'],
    ['2001:db8:1:2:3:4:5:6', 60, '2001:db8:1::/60'],
    ['2001:db8:1:2:3:4:5:6', 128, '2001:db8:1:2:3:4:5:6/128'],
    ['2001:db8::1', 1, '::/1'],
    ['fe80::1%eth0', 64, 'fe80::/64'],
    ['::ffff:203.0.113.9', 64, '203.0.113.9'],
    ['::ffff:cb00:7109', 64, '203.0.113.9'],
    ['::FFFF:203.0.113.9', 128, '203.0.113.9'],
    ['0:0:0:0:0:ffff:203.0.113.9', 64, '203.0.113.9'],
    ['203.0.113.9', 64, '203.0.113.9'],
    ['::1', 64, '::/64'],
    ['unknown', 64, 'unknown'],
    ['not:an:address', 64, 'not:an:address'],
    [`${'1:'.repeat(50_000)}1`, 64, `${'1:'.repeat(50_000)}1`],
  ] as const) {
    expect(ipIdentity(text, prefix)).toBe(identity)
  }
})

test('writes an IPv4-mapped address as IPv4 and drops a zone, and takes no other text for an address', () => {
  expect(canonicalIp('::ffff:203.0.113.9')).toBe('203.0.113.9')
  expect(canonicalIp('fe80::A%eth0.1')).toBe('fe80::a')
  for (const text of ['', 'garbage', '203.0.113.9:4711', '[::1]', '::1%', '1.2.3', '::ffff:1.2.3.4.5', ' ::1']) {
    expect(canonicalIp(text), text).toBeNull()
  }
})
