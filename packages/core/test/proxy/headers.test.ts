import net from 'node:net'
import { describe, expect, test } from 'vitest'
import { ask, clientFacts, gateway, httpUpstream, rawUpstream, testRelease, urlUpstream } from './harness.js'

/** What the upstream got for a request written byte for byte. */
async function sentUpstream(lines: string[], settings: Parameters<typeof gateway>[1] & { proxy?: object } = {}) {
  const heads: string[][] = []
  await using upstream = await httpUpstream((request, response) => {
    heads.push(request.rawHeaders)
    response.end('ok')
  })
  const release = testRelease({ B: urlUpstream('B', upstream.port), proxy: settings.proxy ?? {} })
  await using front = await gateway(release, settings)
  const answer = await exchange(front.port, [...lines, 'Connection: close', '', ''].join('\r\n'))
  const pairs: [string, string][] = []
  const raw = heads[0] ?? []
  for (let i = 0; i < raw.length; i += 2) pairs.push([raw[i] ?? '', raw[i + 1] ?? ''])
  return {
    answer,
    pairs,
    port: String(upstream.port),
    values: (name: string) => pairs.filter(([key]) => key === name).map(([, value]) => value),
  }
}

function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text, 'latin1'))
    let received = ''
    socket.on('data', (chunk) => (received += chunk.toString('latin1')))
    socket.on('end', () => resolve(received))
    socket.on('error', reject)
  })
}

describe('headers of the request', () => {
  test('are kept in order and number, without those of one hop', async () => {
    const { pairs } = await sentUpstream([
      'GET / HTTP/1.1',
      'Host: shop.example',
      'X-Twice: 1',
      'Accept: */*',
      'X-Twice: 2',
      'Keep-Alive: timeout=5',
      'TE: trailers',
      'Proxy-Authorization: Basic eA==',
      'Proxy-Connection: keep-alive',
      'HTTP2-Settings: AAMAAABk',
      'Expect: 100-continue',
      'X-Late: 3',
    ])
    expect(pairs.filter(([name]) => !/^(host|connection|x-forwarded-.*|x-canary-via)$/.test(name))).toEqual([
      ['x-twice', '1'],
      ['accept', '*/*'],
      ['x-twice', '2'],
      ['x-late', '3'],
    ])
  })

  test('lose those that Connection names, but none that the gateway sets', async () => {
    const { values, port } = await sentUpstream([
      'GET / HTTP/1.1',
      'Host: shop.example',
      'Connection: X-Secret, cookie, x-forwarded-for , X-Forwarded-Proto, host',
      'X-Secret: 1',
      'Cookie: a=b',
      'X-Kept: 2',
    ])
    expect(values('x-secret')).toEqual([])
    expect(values('cookie')).toEqual([])
    expect(values('x-kept')).toEqual(['2'])
    expect(values('x-forwarded-for')).toEqual(['127.0.0.1'])
    expect(values('x-forwarded-proto')).toEqual(['http'])
    expect(values('host')).toEqual([`127.0.0.1:${port}`])
  })

  const FORGED = [
    'GET / HTTP/1.1',
    'Host: shop.example:8443',
    'X-Forwarded-For: 203.0.113.9',
    'X_Forwarded_For: 203.0.113.10',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: evil.example',
    'X-Forwarded-Port: 1',
    'Forwarded: for=203.0.113.9',
    'X-Canary-Upstream: B',
    'X-Side: B',
  ]

  test('replace what an untrusted peer says of its client', async () => {
    const { values } = await sentUpstream(FORGED)
    expect(values('x-forwarded-for')).toEqual(['127.0.0.1'])
    expect(values('X_Forwarded_For').concat(values('x_forwarded_for'))).toEqual([])
    expect(values('x-forwarded-proto')).toEqual(['http'])
    expect(values('x-forwarded-host')).toEqual(['shop.example:8443'])
    expect(values('x-forwarded-port')).toEqual(['8443'])
    expect(values('forwarded')).toEqual([])
    expect(values('x-canary-upstream')).toEqual([])
    expect(values('x-side')).toEqual(['B'])
  })

  test('are appended to what a trusted peer says', async () => {
    const { values } = await sentUpstream(FORGED, { call: () => ({ client: clientFacts({ trusted: true }) }) })
    expect(values('x-forwarded-for')).toEqual(['203.0.113.9, 127.0.0.1'])
    expect(values('x-forwarded-proto')).toEqual(['https, http'])
    expect(values('x-forwarded-host')).toEqual(['evil.example, shop.example:8443'])
    expect(values('x-forwarded-port')).toEqual(['1, 8443'])
    expect(values('forwarded')).toEqual(['for=203.0.113.9'])
  })

  test('keep what a trusted peer says of the host where its own is empty', async () => {
    const lines = ['GET / HTTP/1.1', 'Host:', 'X-Forwarded-Host: shop.example']
    const trusted = await sentUpstream(lines, { call: () => ({ client: clientFacts({ trusted: true }) }) })
    expect(trusted.values('x-forwarded-host')).toEqual(['shop.example'])
    expect((await sentUpstream(lines)).values('x-forwarded-host')).toEqual([])
  })

  test('tell the decision where that is asked for, and never a forged one', async () => {
    const { values } = await sentUpstream(FORGED, { proxy: { decisionHeader: 'X-Side' } })
    expect(values('x-side')).toEqual(['B'])
    const { values: ofA } = await sentUpstream(FORGED, {
      proxy: { decisionHeader: 'x-side' },
      call: (call) => ({ ...call, decision: { ...call.decision, upstream: 'A' } }),
    })
    expect(ofA('x-side')).toEqual(['A'])
  })

  test("keep the client's host with preserveHost", async () => {
    const { values } = await sentUpstream(['GET / HTTP/1.1', 'Host: shop.example'], { proxy: { preserveHost: true } })
    expect(values('host')).toEqual(['shop.example'])
  })

  test('with two hosts are refused', async () => {
    const { answer, pairs } = await sentUpstream(['GET / HTTP/1.1', 'Host: a.example', 'Host: b.example'])
    expect(answer).toMatch(/^HTTP\/1.1 400 /)
    expect(pairs).toEqual([])
  })

  test.each([
    [32, 31, 'sent'],
    [32, 32, 'refused'],
    [32, 33, 'refused'],
    [20, 19, 'sent'],
    [20, 21, 'refused'],
    [0, 1500, 'sent'],
    [1500, 1400, 'sent'],
  ])('where the server tells of %i (0: all), %i are %s', async (maxHeadersCount, count, what) => {
    const many = Array.from({ length: count - 2 }, (_, i) => `a${i}: ${i}`)
    const { answer, pairs } = await sentUpstream(['GET / HTTP/1.1', 'Host: shop.example', ...many], { maxHeadersCount })
    // Later versions of Node answer 431 themselves.
    expect(answer).toMatch(what === 'sent' ? /^HTTP\/1.1 200 / : /^HTTP\/1.1 (?:400|431) /)
    expect(pairs.filter(([name]) => /^a\d+$/.test(name))).toHaveLength(what === 'sent' ? many.length : 0)
  })

  test.each([
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:2001:db8', '::ffff:2001:db8'],
    ['2001:db8::1', '2001:db8::1'],
  ])('name the client %s as %s', async (remoteAddress, named) => {
    const { values } = await sentUpstream(['GET / HTTP/1.1', 'Host: shop.example'], {
      before: ({ socket }) => void Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress }),
    })
    expect(values('x-forwarded-for')).toEqual([named])
  })

  test('can be changed by a hook', async () => {
    const { values } = await sentUpstream(
      ['GET / HTTP/1.1', 'Host: shop.example', 'X-Two: 1', 'X-Two: 2', 'X-Old: 1', 'X-Older: 1'],
      {
        proxy: {
          onRequestHeaders: (headers: Record<string, unknown>, _request: unknown, decision: { upstream: string }) => {
            expect(headers['x-two']).toEqual(['1', '2'])
            delete headers['x-old']
            headers['x-older'] = undefined
            headers['X-New'] = [`to ${decision.upstream}`, 'y']
          },
        },
      },
    )
    expect(values('x-two')).toEqual(['1', '2'])
    expect([values('x-old'), values('x-older')]).toEqual([[], []])
    expect(values('x-new')).toEqual(['to B', 'y'])
  })

  test('answer 500 where a hook throws', async () => {
    const { answer } = await sentUpstream(['GET / HTTP/1.1', 'Host: shop.example'], {
      proxy: {
        onRequestHeaders: () => {
          throw new Error('a bug')
        },
      },
    })
    expect(answer).toMatch(/^HTTP\/1.1 500 [^]*ERR_CANARY_HOOK: onRequestHeaders threw$/)
  })
})

describe('headers of the response', () => {
  const answerOf = async (head: string[], settings: Parameters<typeof gateway>[1] & { proxy?: object } = {}) => {
    await using upstream = await rawUpstream((socket) => {
      socket.once('data', () => socket.write([...head, '', ''].join('\r\n'), 'latin1'))
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port), proxy: settings.proxy ?? {} })
    await using front = await gateway(release, settings)
    const answer = await ask(front.port, '/', { method: head[0]?.includes(' 304 ') === true ? 'HEAD' : 'GET' })
    return { ...answer, outcomes: release.outcomes }
  }

  test("the upstream's win, Set-Cookie and Vary are joined", async () => {
    const { headers } = await answerOf(
      [
        'HTTP/1.1 200 OK',
        'Content-Length: 0',
        'X-Powered-By: upstream',
        'Set-Cookie: b=2',
        'Set-Cookie: c=3',
        'Vary: Accept, Origin',
        'Link: <a>',
        'Link: <b>',
      ],
      {
        before: (_request, response) => {
          response.setHeader('X-Powered-By', 'gateway')
          response.setHeader('X-Own', 'kept')
          response.setHeader('Set-Cookie', 'a=1')
          response.setHeader('Vary', 'origin')
        },
      },
    )
    expect(headers).toMatchObject({
      'x-powered-by': 'upstream',
      'x-own': 'kept',
      'set-cookie': ['a=1', 'b=2', 'c=3'],
      vary: 'origin, Accept',
      link: '<a>, <b>',
    })
  })

  test('those of one hop and those that Connection names stay behind', async () => {
    const { headers } = await answerOf([
      'HTTP/1.1 200 OK',
      'Content-Length: 0',
      'Connection: X-Internal, keep-alive',
      'X-Internal: 1',
      'Keep-Alive: timeout=99',
      'Proxy-Authenticate: Basic',
      'Upgrade: h2c',
    ])
    for (const name of ['x-internal', 'proxy-authenticate', 'upgrade']) expect(headers).not.toHaveProperty(name)
    expect(headers['keep-alive']).not.toBe('timeout=99')
  })

  test('a trailer is announced only where Node can send one', async () => {
    const { headers } = await answerOf(['HTTP/1.1 200 OK', 'Content-Length: 0', 'Trailer: X-Sum'])
    expect(headers).not.toHaveProperty('trailer')
  })

  test('204 has no length, 304 keeps it', async () => {
    const none = await answerOf(['HTTP/1.1 204 No Content', 'Content-Length: 0'])
    expect(none.headers).not.toHaveProperty('content-length')
    const unchanged = await answerOf(['HTTP/1.1 304 Not Modified', 'Content-Length: 17', 'ETag: "x"'])
    expect(unchanged).toMatchObject({ status: 304, headers: { 'content-length': '17', etag: '"x"' } })
  })

  test('the status line is kept', async () => {
    await using upstream = await rawUpstream((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 299 Rather Fine\r\nContent-Length: 0\r\n\r\n'))
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const text = await exchange(front.port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    expect(text).toMatch(/^HTTP\/1.1 299 Rather Fine\r\n/)
  })

  test('are taken back where a hook throws, so that the error page is whole', async () => {
    const head = ['HTTP/1.1 200 OK', 'Content-Length: 3', 'Content-Encoding: gzip', 'Set-Cookie: b=2', 'X-Up: 1']
    const { status, headers, body } = await answerOf(head, {
      before: (_request, response) => {
        response.setHeader('Set-Cookie', 'a=1')
        response.setHeader('X-Own', 'kept')
      },
      call: (call) => ({
        ...call,
        beforeHead: () => {
          throw new Error('a bug')
        },
      }),
    })
    expect({ status, body }).toEqual({
      status: 502,
      body: 'ERR_CANARY_UPSTREAM_RESPONSE: upstream B gave no valid response',
    })
    expect(headers).toMatchObject({ 'set-cookie': ['a=1'], 'x-own': 'kept' })
    for (const name of ['content-encoding', 'x-up']) expect(headers).not.toHaveProperty(name)
  })

  test('a hook can change them', async () => {
    const { headers } = await answerOf(['HTTP/1.1 200 OK', 'Content-Length: 0', 'Set-Cookie: a=1', 'X-Old: 1'], {
      proxy: {
        onResponseHeaders: (headers: Record<string, unknown>) => {
          expect(headers['set-cookie']).toEqual(['a=1'])
          delete headers['x-old']
          headers['x-new'] = '2'
        },
      },
    })
    expect(headers).toMatchObject({ 'x-new': '2', 'set-cookie': ['a=1'] })
    expect(headers).not.toHaveProperty('x-old')
  })
})
