import { once } from 'node:events'
import http from 'node:http'
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2'
import net, { type AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { createProxy } from '../../src/proxy/proxy.js'
import { ask, callOf, gateway, httpUpstream, rawUpstream, testRelease, urlUpstream } from './harness.js'

describe('a response', () => {
  test('has its head sent at once where the body keeps the client waiting', async () => {
    let send: ((text: string) => void) | undefined
    await using upstream = await httpUpstream((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      send = (text) => void response.write(text)
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const request = http.request({ port: front.port }).end()
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      send?.(event)
      const [chunk] = (await once(response, 'data')) as [Buffer]
      expect(String(chunk)).toBe(event)
    }
    request.on('error', () => {}).destroy()
  })

  test('that is small leaves in one write', async () => {
    await using upstream = await httpUpstream((_request, response) => void response.end('small'))
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const socket = net.connect(front.port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    expect(String(chunk)).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\nsmall$/)
    socket.destroy()
  })

  test('keeps its trailers', async () => {
    await using upstream = await rawUpstream((socket) => {
      socket.once('data', () => {
        const chunks = '3\r\nabc\r\n0\r\nX-Sum: 42\r\nX-Sum: 43\r\nConnection: x\r\n\r\n'
        socket.write(`HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`)
      })
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const answer = await ask(front.port)
    expect(answer).toMatchObject({ status: 200, body: 'abc', headers: { trailer: 'X-Sum' } })
    expect(answer.trailers).toEqual({ 'x-sum': '42, 43' })
  })

  test('to an HTTP/1.0 client has no chunks and no trailers', async () => {
    await using upstream = await rawUpstream((socket) => {
      socket.once('data', () =>
        socket.write(
          'HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n\r\n',
        ),
      )
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const socket = net.connect(front.port, '127.0.0.1')
    socket.write('GET / HTTP/1.0\r\n\r\n')
    const text = (await socket.setEncoding('latin1').toArray()).join('')
    expect(text).toMatch(/\r\n\r\nabc$/)
    expect(text).not.toMatch(/trailer|chunked/i)
  })

  test('to a HEAD has its length and no body', async () => {
    await using upstream = await httpUpstream((_request, response) => {
      response.writeHead(200, { 'content-length': '1234' }).end()
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const answer = await ask(front.port, '/', { method: 'HEAD' })
    expect(answer).toMatchObject({ status: 200, body: '', headers: { 'content-length': '1234' } })
  })

  test('that is large waits for its reader', async () => {
    let written = 0
    await using upstream = await httpUpstream((_request, response) => {
      const more = (): void => {
        written += 1 << 16
        if (written > 200 << 20) response.end()
        else if (response.write(Buffer.alloc(1 << 16))) setImmediate(more)
        else response.once('drain', more)
      }
      more()
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const socket = net.connect(front.port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(socket, 'data')
    socket.pause()
    // The upstream stops once all buffers on the way are full: when it writes nothing more in many turns of the loop.
    for (let before = -1, still = 0; still < 2000; still = written === before ? still + 1 : 0) {
      before = written
      await new Promise(setImmediate)
    }
    expect(written).toBeLessThan(60 << 20)
    let received = 0
    for await (const chunk of socket) {
      received += chunk.length
      if (received > 150 << 20) break
    }
    socket.destroy()
  })
})

test('slow and quick readers take turns on one connection, and each gets every byte', async () => {
  const body = Buffer.from(Array.from({ length: 3 << 20 }, (_, i) => (i * i) % 251))
  await using upstream = await httpUpstream((_request, response) => response.end(body))
  const release = testRelease({ B: urlUpstream('B', upstream.port), proxy: { connections: 1 } })
  await using front = await gateway(release)
  const read = async (slowly: boolean): Promise<Buffer> => {
    const request = http.get({ port: front.port, agent: false })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    const chunks: Buffer[] = []
    for await (const chunk of response) {
      chunks.push(chunk)
      if (slowly) await new Promise(setImmediate)
    }
    return Buffer.concat(chunks)
  }
  const bodies = await Promise.all([true, false, true, false, false, true].map(read))
  for (const received of bodies) expect(received.equals(body)).toBe(true)
  expect(upstream.sockets.size).toBe(1)
})

describe('a request', () => {
  test('that is large waits for the upstream', async () => {
    const upstreamSockets: net.Socket[] = []
    await using upstream = await rawUpstream((socket) => {
      socket.pause()
      let received = 0
      socket.on('data', (chunk: Buffer) => {
        received += chunk.length
        if (received > 100 << 20) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      })
      socket.pause()
      upstreamSockets.push(socket)
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const request = http.request({ port: front.port, method: 'PUT', headers: { 'content-length': 100 << 20 } })
    let written = 0
    const more = (): void => {
      while (written < 100 << 20) {
        written += 1 << 16
        if (!request.write(Buffer.alloc(1 << 16))) return void request.once('drain', more)
      }
      request.end()
    }
    more()
    await expect.poll(() => upstreamSockets.length).toBe(1)
    for (let before = -1, still = 0; still < 2000; still = written === before ? still + 1 : 0) {
      before = written
      await new Promise(setImmediate)
    }
    expect(written).toBeLessThan(60 << 20)
    upstreamSockets[0]?.resume()
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect(response.statusCode).toBe(200)
    response.resume()
  })

  test('keeps chunks where it had no length, and its length where it had one', async () => {
    await using upstream = await httpUpstream((request, response) => {
      void request
        .setEncoding('utf8')
        .toArray()
        .then((parts) => {
          response.end(
            JSON.stringify([request.headers['content-length'], request.headers['transfer-encoding'], parts.join('')]),
          )
        })
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const chunked = { method: 'POST', headers: { 'transfer-encoding': 'chunked' } }
    expect((await ask(front.port, '/', { ...chunked, body: 'abc' })).body).toBe('[null,"chunked","abc"]')
    expect((await ask(front.port, '/', { method: 'POST', body: 'abc' })).body).toBe('["3",null,"abc"]')
    expect((await ask(front.port, '/', { method: 'POST', headers: { 'content-length': 0 } })).body).toBe(
      '["0",null,""]',
    )
    expect((await ask(front.port, '/', { method: 'DELETE', headers: { 'content-length': 3 }, body: 'abc' })).body).toBe(
      '["3",null,"abc"]',
    )
    expect((await ask(front.port, '/', chunked)).body).toMatch(/""\]$/)
  })
})

describe('an HTTP/2 client', () => {
  test('is served: pseudo headers and connection headers stay behind, cookies are joined, resets pass on', async () => {
    const heads: string[][] = []
    await using upstream = await rawUpstream((socket) => {
      socket.on('data', (data: Buffer) => {
        const text = data.toString('latin1')
        heads.push(text.split('\r\n'))
        if (text.startsWith('GET /broken')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc')
        else {
          const head =
            'HTTP/1.1 200 Fine\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked'
          socket.write(`${head}\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n`)
        }
      })
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port) })
    const proxy = createProxy()
    const server = createHttp2((request, response) => {
      proxy.forward(callOf(release, { request, response, upgrade: null }, () => {}))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const stream = client.request({ ':path': '/x', ':method': 'POST', cookie: ['a=1', 'b=2'], 'content-length': 4 })
    stream.end('body')
    const [headers] = await once(stream, 'response')
    const trailers = once(stream, 'trailers')
    expect(headers).toMatchObject({ ':status': 200, 'set-cookie': ['a=1', 'b=2'] })
    expect(headers).not.toHaveProperty('keep-alive')
    expect((await stream.setEncoding('utf8').toArray()).join('')).toBe('abc')
    expect((await trailers)[0]).toMatchObject({ 'x-sum': '1' })
    expect(heads[0]).toContain('POST /x HTTP/1.1')
    expect(heads[0]).toContain('cookie: a=1; b=2')
    expect(heads[0]?.filter((line) => line.startsWith(':'))).toEqual([])

    const broken = client.request({ ':path': '/broken' })
    broken.resume()
    await once(broken, 'error')
    expect(broken.rstCode).not.toBe(0)
    expect(release.outcomes).toMatchObject([
      { status: 200, error: null, aborted: false },
      { status: 200, aborted: false, error: { code: 'ERR_CANARY_UPSTREAM_RESPONSE' } },
    ])
    client.destroy()
    server.close()
    await proxy.close(0)
  })
})
