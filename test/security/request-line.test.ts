import { createServer } from 'node:http'
import { createHandler } from '@canary-release/core/node'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GATEWAYS, type Gateway, type GatewayOptions, optionsFor, sendRaw, serving, statusesOf } from './gateways.js'
import { PREFIXED } from './prefixed-gateways.js'
import { PASSED, type RecordingUpstream, startRecordingUpstream } from './recording-upstream.js'
import { TARGETS, type Target, staysBelow } from './target-table.js'

const MOUNTS = [
  ...Object.entries(GATEWAYS).map(([name, start]) => ({ name, start, prefix: '' })),
  ...Object.entries(PREFIXED).map(([name, start]) => ({ name: `${name} under a prefix`, start, prefix: '/orders' })),
  // Its router finds the prefix decoded.
  ...Object.entries(PREFIXED)
    .filter(([name]) => name === 'fastify')
    .map(([name, start]) => ({ name: `${name} under a prefix in percent`, start, prefix: '/%6Frders' })),
]

for (const { name, start, prefix } of MOUNTS) {
  describe(`request targets through ${name}`, () => {
    let upstream: RecordingUpstream
    let gateway: Gateway

    beforeAll(async () => {
      upstream = await startRecordingUpstream()
      gateway = await start(withBase(upstream.port))
    })

    afterAll(async () => {
      await gateway.close()
      await upstream[Symbol.asyncDispose]()
    })

    const ask = async (target: string, method = 'GET') => {
      const text = await sendRaw(
        gateway.port,
        `${method} ${target} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n`,
      )
      return { text, received: upstream.take() }
    }

    test.for(TARGETS)('$path after $before', async ({ before = '', path, reaches, mayBeRefused = false }: Target) => {
      const { text, received } = await ask(before + (path === '' ? '' : prefix) + path)
      if (reaches === null || (mayBeRefused && received === '')) {
        expect([400, 404], text).toContain(statusesOf(text)[0])
        expect(received).toBe('')
      } else {
        expect(statusesOf(text), text).toEqual([200])
        expect(received).toBe(whole(upstream.port, `/base${reaches}`))
      }
    })

    test('CONNECT and OPTIONS * reach nobody', async () => {
      for (const [method, target] of [
        ['CONNECT', 'evil.example:443'],
        ['CONNECT', '/orders/x'],
        ['OPTIONS', '*'],
      ]) {
        const { text, received } = await ask(target ?? '', method)
        expect(received).toBe('')
        // Node hangs up on a CONNECT that nobody listens to.
        expect([undefined, 400, 404]).toContain(statusesOf(text)[0])
      }
    })

    test('a target of 64 KB is refused where Node allows less', async () => {
      const { text, received } = await ask(`${prefix}/${'a'.repeat(65_536)}`)
      expect([statusesOf(text), received]).toEqual([[431], ''])
    })

    test('no target made of what servers read differently leaves the base', async () => {
      const piece = fc.constantFrom(
        '..',
        '.',
        '%2e',
        '/',
        '\\',
        '%2f',
        '%5C',
        'a',
        ';',
        ';x=1',
        '//',
        '?',
        '#',
        ':',
        '@',
      )
      await fc.assert(
        fc.asyncProperty(fc.array(piece, { maxLength: 10 }), async (pieces) => {
          const { received } = await ask(`${prefix}/${pieces.join('')}`)
          if (received === '') return
          const target = /^GET (\S+) HTTP\/1\.1\r\n/.exec(received)?.[1] ?? ''
          expect(received).toBe(whole(upstream.port, target))
          expect(staysBelow('/base', target), target).toBe(true)
        }),
        { seed: 20_260_211, numRuns: 300 },
      )
    })
  })
}

test('a target of 64 KB goes through as it is where Node allows it', async () => {
  await using upstream = await startRecordingUpstream()
  const handler = createHandler(withBase(upstream.port))
  const server = createServer({ maxHeaderSize: 131_072 }, (request, response) => void handler(request, response))
  const gateway = await serving(server, handler.close)
  const target = `/${'a//b;c%2f/'.repeat(6554)}`
  const text = await sendRaw(gateway.port, `GET ${target} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n`)
  await gateway.close()
  expect(statusesOf(text)).toEqual([200])
  expect(upstream.take() === whole(upstream.port, `/base${target}`)).toBe(true)
})

function withBase(port: number): GatewayOptions {
  const url = `http://127.0.0.1:${port}/base/`
  return optionsFor({ A: url, B: url })
}

/** The one request that may arrive. */
function whole(port: number, target: string): string {
  return [
    `GET ${target} HTTP/1.1`,
    `host: 127.0.0.1:${port}`,
    'connection: keep-alive',
    'x-forwarded-for: 127.0.0.1',
    'x-forwarded-host: gateway',
    'x-forwarded-port: 80',
    'x-forwarded-proto: http',
    PASSED,
    '',
    '',
  ].join('\r\n')
}
