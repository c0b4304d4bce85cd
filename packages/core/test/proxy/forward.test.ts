import { describe, expect, test } from 'vitest'
import { ask, gateway, httpUpstream, rawUpstream, testRelease, urlUpstream } from './harness.js'

describe('forwarding', () => {
  test('brings status, headers and body of the upstream to the client', async () => {
    await using upstream = await httpUpstream((request, response) => {
      response.writeHead(201, 'Made', { 'content-type': 'text/plain', 'set-cookie': ['a=1', 'b=2'] })
      response.end(`${request.method} ${request.url}`)
    })
    const release = testRelease({ B: urlUpstream('B', upstream.port) })
    await using front = await gateway(release)
    const answer = await ask(front.port, '/x?y=1')
    expect(answer).toMatchObject({ status: 201, body: 'GET /x?y=1' })
    expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2'])
    expect(front.results).toEqual([null])
    expect(release.outcomes).toMatchObject([{ status: 201, error: null, aborted: false, decision: { upstream: 'B' } }])
  })

  test('streams a request body through', async () => {
    await using upstream = await httpUpstream((request, response) => {
      let length = 0
      request.on('data', (chunk: Buffer) => (length += chunk.length))
      request.on('end', () => response.end(String(length)))
    })
    await using front = await gateway(testRelease({ B: urlUpstream('B', upstream.port) }))
    const answer = await ask(front.port, '/', { method: 'POST', body: Buffer.alloc(3_000_000, 'x') })
    expect(answer).toMatchObject({ status: 200, body: '3000000' })
  })

  test('answers 502 where nobody listens', async () => {
    const upstream = await rawUpstream(() => {})
    await upstream[Symbol.asyncDispose]()
    const release = testRelease({ B: urlUpstream('B', upstream.port) })
    await using front = await gateway(release)
    const answer = await ask(front.port)
    expect(answer).toMatchObject({
      status: 502,
      body: 'ERR_CANARY_UPSTREAM_CONNECT: upstream B could not be connected to',
    })
    expect(release.outcomes).toMatchObject([{ status: null, error: { code: 'ERR_CANARY_UPSTREAM_CONNECT' } }])
  })
})
