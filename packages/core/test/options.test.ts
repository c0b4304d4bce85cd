import { expect, test } from 'vitest'
import { createRelease } from '../src/entries/index.js'
import { Release } from '../src/release/release.js'

const upstreams = { A: 'http://a:1', B: 'http://b:1' }
const logger = { info() {}, warn() {}, error() {} }
const good = { name: 'orders-v2', upstreams, percentage: 10 }
const timed = { name: 'orders-v2', upstreams, start: 0 }
const tls = (options: unknown) => ({ A: { url: 'https://a', tls: options }, B: 'http://b' })

/** Builds from anything, as JavaScript users do. */
const build = (options: unknown): unknown => Reflect.apply(createRelease, undefined, [options])

const HASH = 'must be consumer, ip, none, { header }, { cookie }, { allow: groups } or { deny: groups }'
const DURATION = "must be a number of seconds above 0, or a text such as '90m'"
const NAME = 'must be a text of 1 to 200 characters'
const PORT = 'must be a port from 1 to 65535'
const STEPS = 'must be a whole number from 1 to 4294967296'
const URL_OR_HANDLER = 'must be a URL, { url } or a handler'

/** Options that are wrong in any release, and what is said of them. */
const wrong: [options: object, message: string][] = [
  [{ name: '' }, `name ${NAME}, got ""`],
  [{ name: 5 }, `name ${NAME}, got 5`],
  [{ name: 'x'.repeat(201) }, `name ${NAME}, got "${'x'.repeat(100)}…"`],
  [{ salt: 5 }, 'salt must be a string, got 5'],
  [{ percentage: 101 }, 'percentage must be between 0 and 100, got 101'],
  [{ percentage: -1 }, 'percentage must be between 0 and 100, got -1'],
  [{ percentage: Number.NaN }, 'percentage must be between 0 and 100, got NaN'],
  [{ percentage: Number.POSITIVE_INFINITY }, 'percentage must be between 0 and 100, got Infinity'],
  [{ percentage: '10' }, 'percentage must be a number between 0 and 100, got "10"'],
  [{ percentage: 10n }, 'percentage must be a number between 0 and 100, got 10n'],
  [{ guard: { alpha: '0.1' } }, 'guard.alpha must be a number above 0 and at most 0.5, got "0.1"'],
  [{ name: 'orders\u0000v2' }, 'name must hold no control characters, got "orders\\u0000v2"'],
  [{ name: 'orders\u202ev2' }, 'name must hold no control characters, got "orders\\u202ev2"'],
  [{ name: 'orders\u2066v2' }, 'name must hold no control characters, got "orders\\u2066v2"'],
  [{ name: 'orders\u0085v2' }, 'name must hold no control characters, got "orders\\u0085v2"'],
  [{ hash: { allow: ['staff\n'] } }, 'hash.allow.0 must hold no control characters, got "staff\\n"'],
  [
    { percentage: 0.01 },
    'percentage must reach at least one of 1000 steps: with steps 10000 or more it would, got 0.01',
  ],
  [
    { percentage: 10, start: 0 },
    'start must not be given beside percentage: a release has a fixed share or a ramp, got 0',
  ],
  [{ percentage: 10, duration: 60 }, 'duration must be given with start only, not beside percentage, got 60'],
  [{ steps: 0 }, `steps ${STEPS}, got 0`],
  [{ steps: 1.5 }, `steps ${STEPS}, got 1.5`],
  [{ steps: 2 ** 32 + 1 }, `steps ${STEPS}, got 4294967297`],
  [{ steps: '5' }, `steps ${STEPS}, got "5"`],
  [{ hash: { header: 'a b' } }, 'hash.header must be a header name, got "a b"'],
  [{ hash: { header: '' } }, 'hash.header must be a header name, got ""'],
  [{ hash: { cookie: 'a=b' } }, 'hash.cookie must be a cookie name, got "a=b"'],
  [{ hash: 'consumr' }, `hash ${HASH}, got "consumr"`],
  [{ hash: { heder: 'x' } }, `hash ${HASH}, got { heder }`],
  [{ hash: { header: 'x', cookie: 'y' } }, `hash ${HASH}, got { header, cookie }`],
  [{ hash: null }, `hash ${HASH}, got null`],
  [{ hash: { allow: [] } }, 'hash.allow must be a list of one group or more, got an array of 0'],
  [{ hash: { allow: 'staff' } }, 'hash.allow must be a list of one group or more, got "staff"'],
  [{ hash: { deny: ['a', 5] } }, 'hash.deny.1 must be a text, got 5'],
  [{ upstreams: 'http://a' }, 'upstreams must be an object, got "http://a"'],
  [{ upstreams: { A: 'http://a', B: {} } }, 'upstreams.B must say at least one of host, port and uri, got {}'],
  [{ upstreams: { A: 'http://a' } }, `upstreams.B ${URL_OR_HANDLER}, got nothing`],
  [{ upstreams: { A: 'ftp://a', B: 'http://b' } }, 'upstreams.A must be an http: or https: URL, got "ftp://a"'],
  [{ upstreams: { A: 'a:80', B: 'http://b' } }, 'upstreams.A must be an http: or https: URL, got "a:80"'],
  [{ upstreams: { A: 'http://a b', B: 'http://b' } }, 'upstreams.A must be an http: or https: URL, got "http://a b"'],
  [{ upstreams: { A: 'http://a', B: 'http://b:0' } }, 'upstreams.B must not have port 0, got "http://b:0"'],
  [{ upstreams: { A: 'http://a', B: 5 } }, `upstreams.B ${URL_OR_HANDLER}, got 5`],
  [{ upstreams: { A: { url: 5 }, B: 'http://b' } }, 'upstreams.A.url must be an http: or https: URL, got 5'],
  [
    { upstreams: { A: { url: 'http://a', socketPath: '' }, B: 'http://b' } },
    'upstreams.A.socketPath must not be empty, got ""',
  ],
  [{ upstreams: { A: 'http://a', B: { port: 0 } } }, `upstreams.B.port ${PORT}, got 0`],
  [{ upstreams: { A: 'http://a', B: { port: '80' } } }, `upstreams.B.port ${PORT}, got "80"`],
  [
    { upstreams: { A: 'http://a', B: { host: 'b/c' } } },
    'upstreams.B.host must be a host name or an address, got "b/c"',
  ],
  [
    { upstreams: { A: 'http://a', B: { uri: 'v2' } } },
    'upstreams.B.uri must be a path that begins with / and has no query, got "v2"',
  ],
  [
    { upstreams: { A: () => {}, B: { port: 80 } } },
    'upstreams.B must be whole where A is a handler: parts replace those of a URL, got { port }',
  ],
  [{ override: 'x-canary' }, 'override must be an object, got "x-canary"'],
  [{ override: { header: 'a b' } }, 'override.header must be a header name, got "a b"'],
  [{ override: { cookie: 'a;b' } }, 'override.cookie must be a cookie name, got "a;b"'],
  [
    { trustedIps: ['10.0.0.0/99'] },
    'trustedIps must hold addresses, CIDRs, loopback, linklocal or uniquelocal, got "10.0.0.0/99"',
  ],
  [
    { trustedIps: ['10.0.0.1', 'local'] },
    'trustedIps must hold addresses, CIDRs, loopback, linklocal or uniquelocal, got "local"',
  ],
  [{ trustedIps: 'loopback' }, 'trustedIps must be an array, got "loopback"'],
  [{ trustedIps: [5] }, 'trustedIps.0 must be an address, a CIDR or the name of a range, got 5'],
  [{ realIpHeader: 'a b' }, 'realIpHeader must be a header name, got "a b"'],
  [{ ipv6Prefix: 0 }, 'ipv6Prefix must be at least 1, got 0'],
  [{ ipv6Prefix: 129 }, 'ipv6Prefix must be at most 128, got 129'],
  [{ ipv6Prefix: 6.5 }, 'ipv6Prefix must be a whole number, got 6.5'],
  [{ mode: 'proxy' }, 'mode must be one of "forward", "rewrite", got "proxy"'],
  [{ consumer: 'alice' }, 'consumer must be a function, got "alice"'],
  [{ groups: ['staff'] }, 'groups must be a function, got an array of 1'],
  [{ onError: 5 }, 'onError must be a function, got 5'],
  [{ clock: 5 }, 'clock must be a function, got 5'],
  [{ random: 0.5 }, 'random must be a function, got 0.5'],
  [{ logger: {} }, 'logger must have the functions info, warn and error, got {}'],
  [{ exposeHeader: 'a b' }, 'exposeHeader must be a header name, got "a b"'],
  [{ upstreamFallback: 1 }, 'upstreamFallback must be a boolean, got 1'],
  [{ enabled: 'yes' }, 'enabled must be a boolean, got "yes"'],
  [{ health: true }, 'health must be an object, got true'],
  [{ health: {} }, 'health.path must be a string, got nothing'],
  [{ health: { path: 'up' } }, 'health.path must be a path that begins with /, got "up"'],
  [{ health: { path: '/up', intervalMs: 0 } }, 'health.intervalMs must be at least 1, got 0'],
  [{ proxy: { connectionMaxAgeMs: 0 } }, 'proxy.connectionMaxAgeMs must be at least 1, got 0'],
  [{ proxy: { tunnels: 0 } }, 'proxy.tunnels must be at least 1, got 0'],
  [{ proxy: { requestTimeoutMs: 0 } }, 'proxy.requestTimeoutMs must be at least 1, got 0'],
  [{ proxy: { perNetwork: 0 } }, 'proxy.perNetwork must be at least 1, got 0'],
  [{ proxy: { perNetwork: 1.5 } }, 'proxy.perNetwork must be a whole number, got 1.5'],
  [{ proxy: { connectTimeoutMs: 0.5 } }, 'proxy.connectTimeoutMs must be a whole number, got 0.5'],
  [{ proxy: { connections: '5' } }, 'proxy.connections must be a number, got "5"'],
  [{ proxy: { forwarder: {} } }, 'proxy.forwarder must be a Forwarder, got {}'],
  [
    { proxy: { dropHeaders: 'x-debug' } },
    `proxy.dropHeaders must be 'identity' or a list of header names, which may end with *, got "x-debug"`,
  ],
  [{ proxy: { dropHeaders: ['a b'] } }, 'proxy.dropHeaders.0 must be a header name, got "a b"'],
  [
    { proxy: { dropHeaders: ['x', 'Content-Length'] } },
    'proxy.dropHeaders.1 must be a header that the gateway does not answer for, got "Content-Length"',
  ],
  [
    { proxy: { dropHeaders: ['x-*-y'] } },
    'proxy.dropHeaders.0 must have its * at the end, behind the beginning of a name, got "x-*-y"',
  ],
  [{ proxy: { via: 'gateway' } }, 'proxy.via must be a boolean, got "gateway"'],
  [{ proxy: { path: 'loose' } }, 'proxy.path must be one of "plain", "strict", got "loose"'],
  [{ proxy: { onRequestHeaders: 5 } }, 'proxy.onRequestHeaders must be a function, got 5'],
  // Unknown names, with the nearest known one.
  [{ percentge: 5 }, 'percentge is not an option: did you mean percentage?'],
  [{ trustedIPs: [] }, 'trustedIPs is not an option: did you mean trustedIps?'],
  [{ upstreams: { A: 'http://a', B: { prot: 80 } } }, 'upstreams.B.prot is not an option: did you mean port?'],
  [{ upstreams: { a: 'http://a', B: 'http://b' } }, 'upstreams.a is not an option: did you mean A?'],
  [{ upstreams: { ...upstreams, C: 'http://c' } }, 'upstreams.C is not an option: known are A, B'],
  [
    { upstreams: { A: { url: 'http://a', sockPath: '/x' }, B: 'http://b' } },
    'upstreams.A.sockPath is not an option: did you mean socketPath?',
  ],
  [{ upstreams: tls({ servrname: 'a' }) }, 'upstreams.A.tls.servrname is not an option: did you mean servername?'],
  [{ override: { heeder: 'x' } }, 'override.heeder is not an option: did you mean header?'],
  [{ proxy: { connectTimeout: 5 } }, 'proxy.connectTimeout is not an option: did you mean connectTimeoutMs?'],
  [{ health: { path: '/up', timeoutms: 5 } }, 'health.timeoutms is not an option: did you mean timeoutMs?'],
  // What must not be shown.
  [{ upstreams: { A: 'http://joe:pw@a', B: 'http://b' } }, 'upstreams.A must not hold credentials, got "http://***@a"'],
  [
    { upstreams: { A: { url: 'https://joe:p@w@a/x' }, B: 'http://b' } },
    'upstreams.A.url must not hold credentials, got "https://***@a/x"',
  ],
  [
    { upstreams: { A: new URL('ftp://joe:pw@a'), B: 'http://b' } },
    'upstreams.A must be an http: or https: URL, got "ftp://***@a/"',
  ],
  [
    { upstreams: { A: 'http://a/?key=pw', B: 'http://b' } },
    'upstreams.A must have neither query nor fragment, got "http://a/?***"',
  ],
  [{ upstreams: tls({ passphrase: 12_345 }) }, 'upstreams.A.tls.passphrase must be a string, got a number (not shown)'],
  [{ upstreams: tls('-----BEGIN') }, 'upstreams.A.tls must be an object, got a string (not shown)'],
]

const START = 'must be a Date, an ISO date or epoch seconds'

/** Options that are wrong in a timed release. */
const wrongTimes: [options: object, message: string][] = [
  [{ start: 1_795_458_539_354 }, 'start must be epoch seconds (are these milliseconds?), got 1795458539354'],
  [{ start: 'tomorrow' }, `start ${START}, got "tomorrow"`],
  [{ start: '2026-01-01T10:00' }, `start ${START}, got "2026-01-01T10:00"`],
  [{ start: '2026-02-30T25:00Z' }, `start ${START}, got "2026-02-30T25:00Z"`],
  [{ start: '2026-02-31' }, `start ${START}, got "2026-02-31"`],
  [{ start: '2025-02-29T10:00Z' }, `start ${START}, got "2025-02-29T10:00Z"`],
  [{ start: '2026-04-31T10:00:00+02:00' }, `start ${START}, got "2026-04-31T10:00:00+02:00"`],
  [{ start: '2026-01-01T24:00Z' }, `start ${START}, got "2026-01-01T24:00Z"`],
  [{ start: '2100-02-29' }, `start ${START}, got "2100-02-29"`],
  [{ start: new Date(Number.NaN) }, `start ${START}, got an invalid Date`],
  [{ start: true }, `start ${START}, got true`],
  [{ start: 0, duration: 0 }, `duration ${DURATION}, got 0`],
  [{ start: 0, duration: -5 }, `duration ${DURATION}, got -5`],
  [{ start: 0, duration: Number.POSITIVE_INFINITY }, `duration ${DURATION}, got Infinity`],
  [{ start: 0, duration: '1y' }, `duration ${DURATION}, got "1y"`],
  [{ start: 0, duration: '0m' }, `duration ${DURATION}, got "0m"`],
]

const refusal = (message: string) =>
  expect.objectContaining({ name: 'CanaryError', code: 'ERR_CANARY_OPTION', message })

/** The same rows with what is said first, as a test's name shows it. */
const rows = (table: typeof wrong) => table.map(([options, message]) => [message, options] as const)

test.each(rows(wrong))('says: %s', (message, options) => {
  expect(() => build({ ...good, ...options })).toThrow(refusal(message))
})

test.each(rows(wrongTimes))('says of a ramp: %s', (message, options) => {
  expect(() => build({ ...timed, ...options })).toThrow(refusal(message))
})

test.each(rows([...wrong.filter(([options]) => !('name' in options)), ...wrongTimes]))(
  'refuses an update and changes nothing, saying: %s',
  (message, options) => {
    const release = new Release({ ...('start' in options && !('percentage' in options) ? timed : good), logger })
    const decision = release.decide({ consumer: 'alice' })
    const before = release.status()
    const { options: compiled } = release
    const told: unknown[] = []
    release.on('change', (change) => told.push(change))
    expect(() => Reflect.apply(release.update, release, [options])).toThrow(refusal(message))
    expect(release.options).toBe(compiled)
    expect(release.status()).toEqual(before)
    expect(release.decide({ consumer: 'alice' })).toEqual(decision)
    expect(told).toEqual([])
  },
)

test('refuses a release without name, share or upstreams, and what is no object', () => {
  const without = (name: string) => Object.fromEntries(Object.entries(good).filter(([key]) => key !== name))
  for (const [options, message] of [
    [without('name'), `name ${NAME}, got nothing`],
    [without('upstreams'), 'upstreams must be an object, got nothing'],
    [without('percentage'), 'percentage must be given, or start for a linear release: neither is there, got nothing'],
    [{ nmae: 'x', percentage: 10, upstreams }, 'nmae is not an option: did you mean name?'],
    [undefined, 'options must be an object, got nothing'],
    [null, 'options must be an object, got null'],
    ['orders', 'options must be an object, got "orders"'],
  ] as const) {
    expect(() => build(options)).toThrow(refusal(message))
  }
})

test('refuses to be given another name or a state by an update, and what is no object', () => {
  const release = new Release({ ...good, logger })
  release.update({ name: 'orders-v2', percentage: 20 })
  expect(() => release.update({ name: 'other' })).toThrow(/^name must stay as it was .*, got "other"$/)
  expect(() => release.update({ state: { state: 'promoted' } })).toThrow(
    /^state must be given when .*, got \{ state \}$/,
  )
  for (const nothing of [null, undefined, 5]) {
    expect(() => Reflect.apply(release.update, release, [nothing])).toThrow(/^options must be an object, got /)
  }
  expect(release.status()).toMatchObject({ name: 'orders-v2', state: 'running', percentage: 20 })
})

test('refuses a state that is misspelt rather than forgetting a rollback', () => {
  expect(() => build({ ...good, state: { sate: 'rolled-back' } })).toThrow(
    refusal('state.sate is not an option: did you mean state?'),
  )
  expect(() => build({ ...good, state: { state: 'rolledback' } })).toThrow(/^state\.state must be one of "scheduled", /)
  expect(() => build({ ...good, state: { state: 'paused', elapsed: Number.NaN } })).toThrow(/^state\.elapsed must be /)
  expect(() => build({ ...good, state: 'rolled-back' })).toThrow(refusal('state must be an object, got "rolled-back"'))
})

test('names a hostile option in a short message', () => {
  expect(() => build({ ...good, ['k'.repeat(100_000)]: 1 })).toThrow(/^k{100}… is not an option: .{1,500}$/)
})

test('takes an explicit undefined as not said, for every option', () => {
  const { options } = new Release(good)
  const nothing = Object.fromEntries(
    Object.keys(options)
      .filter((name) => !(name in good) && !['fixedBuckets', 'plan', 'gate'].includes(name))
      .map((name) => [name, undefined]),
  )
  expect(Object.keys(nothing).length).toBeGreaterThan(20)
  expect(new Release({ ...good, ...nothing }).options).toEqual(options)
  const release = new Release(good)
  release.update({ ...nothing, percentage: 10 })
  expect(release.options).toEqual(options)
  expect(new Release({ ...good, proxy: { connections: undefined } }).options.proxy).toEqual(options.proxy)
})

test('neither keeps nor changes the options it was given', () => {
  const given = { ...good, hash: { allow: ['staff'] }, override: { header: 'X-Canary' } }
  const copy = structuredClone(given)
  const release = new Release(given)
  given.hash.allow.push('users')
  expect(release.decide({ groups: ['users'] }).upstream).toBe('A')
  given.hash.allow.pop()
  expect(given).toEqual(copy)
})

test('has the defaults of the design', () => {
  const { options } = new Release({ ...timed, start: '2026-01-01' })
  expect(options).toMatchObject({
    salt: 'orders-v2',
    mode: 'forward',
    start: 1_767_225_600,
    duration: 3600,
    steps: 1000,
    hash: 'consumer',
    realIpHeader: 'x-forwarded-for',
    ipv6Prefix: 64,
    upstreamFallback: false,
    guard: false,
    enabled: true,
    proxy: {
      connectTimeoutMs: 5000,
      headersTimeoutMs: 30_000,
      bodyTimeoutMs: 60_000,
      connectionMaxAgeMs: 60_000,
      tunnels: 10_000,
      requestTimeoutMs: null,
      perNetwork: null,
      connections: 256,
      preserveHost: false,
    },
  })
  expect([options.clock, options.random, options.logger]).toEqual([Date.now, Math.random, console])
})

test.each([
  [new Date(1_700_000_000_000), 1_700_000_000],
  ['2023-11-14T22:13:20Z', 1_700_000_000],
  ['2023-11-14T23:13:20.000+01:00', 1_700_000_000],
  ['2023-11-14', 1_699_920_000],
  [1_700_000_000.5, 1_700_000_000.5],
  [-5, -5],
])('takes %j as a start', (start, seconds) => {
  expect(new Release({ ...timed, start }).status().start).toBe(seconds)
})

test.each([
  [90, 90],
  ['90s', 90],
  ['90m', 5400],
  ['36h', 129_600],
  ['1.5d', 129_600],
  [0.5, 0.5],
])('takes %j as a duration', (duration, seconds) => {
  expect(new Release({ ...timed, duration }).status().duration).toBe(seconds)
})

test('makes B of the parts that replace those of A', () => {
  const originOf = (A: string, B: object) => {
    const { options } = new Release({ ...good, upstreams: { A, B } })
    const compiled = options.upstreams?.B
    return compiled?.kind === 'url' ? [compiled.origin, compiled.basePath, compiled.fixedPath] : null
  }
  expect(originOf('http://a:8080/base', { host: 'B.example' })).toEqual(['http://b.example:8080', '/base', null])
  expect(originOf('https://a/base/', { port: 8443 })).toEqual(['https://a:8443', '/base', null])
  expect(originOf('http://a:8080', { uri: '/v2' })).toEqual(['http://a:8080', '', '/v2'])
  expect(originOf('http://a:8080', { host: '2001:db8::1', port: 80 })).toEqual(['http://[2001:db8::1]', '', null])
})
