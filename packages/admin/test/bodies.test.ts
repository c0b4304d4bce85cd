import { Agent } from 'node:http'
import { type Socket, connect } from 'node:net'
import { once } from 'node:events'
import { listenAdmin } from '@canary-release/admin'
import { createRegistry, memoryStore } from '@canary-release/core/registry'
import { describe, expect, test } from 'vitest'
import { openAdmin } from './client.js'

const MB = 1024 * 1024
const JSON_TYPE = { 'content-type': 'application/json' }

async function opened(url: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

/** All that comes until the server closes the connection. */
async function untilClosed(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {})
  await once(socket, 'close')
  return Buffer.concat(chunks).toString()
}

const HEAD = 'POST /services HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'

describe('bodies', () => {
  test('of up to 1 MB are read, and none above', async () => {
    await using admin = await openAdmin()
    const service = (length: number) => {
      const json = '{"host":"h","tags":[]}'
      return `${json.slice(0, -2)}${' '.repeat(length - json.length)}]}`
    }
    expect(await admin.call('POST', '/services', { text: service(MB), headers: JSON_TYPE })).toMatchObject({
      status: 201,
    })
    for (const headers of [JSON_TYPE, { ...JSON_TYPE, 'transfer-encoding': 'chunked' }]) {
      for (const length of [MB + 1, 4 * MB]) {
        const { status, body } = await admin.call('POST', '/services', { text: service(length), headers })
        expect([status, body]).toEqual([413, { message: 'Request body too large' }])
      }
    }
    expect(admin.registry.version).toBe(1)
  })

  test('that say they are too large are refused before they come', async () => {
    await using admin = await openAdmin()
    const socket = await opened(admin.url)
    socket.write(`${HEAD}Content-Length: 5000000000\r\n\r\n`)
    expect(await untilClosed(socket)).toMatch(
      /^HTTP\/1\.1 413 [\s\S]*connection: close[\s\S]*\{"message":"Request body too large"\}$/i,
    )
  })

  test('that stop coming, or trickle, are given up', async () => {
    await using admin = await openAdmin({ timeoutMs: 100 })
    const stalled = await opened(admin.url)
    stalled.write(`${HEAD}Content-Length: 100\r\n\r\n{"host":`)
    expect(await untilClosed(stalled)).toMatch(
      /^HTTP\/1\.1 408 [\s\S]*\{"message":"Request body did not arrive in time"\}$/,
    )
    const slow = await opened(admin.url)
    slow.write(`${HEAD}Content-Length: 100000\r\n\r\n`)
    const trickle = setInterval(() => slow.write(' '), 10)
    try {
      expect(await untilClosed(slow)).toMatch(/^HTTP\/1\.1 408 /)
    } finally {
      clearInterval(trickle)
    }
    expect(await admin.call('POST', '/services', { json: { host: 'h' } })).toMatchObject({ status: 201 })
  })

  test('whose client goes away leave nothing behind', async () => {
    await using admin = await openAdmin()
    for (const part of ['', '{"host":']) {
      const socket = await opened(admin.url)
      socket.write(`${HEAD}Content-Length: 100\r\n\r\n${part}`)
      socket.destroy()
      await once(socket, 'close')
    }
    expect(await admin.call('POST', '/services', { json: { host: 'h' } })).toMatchObject({ status: 201 })
    expect([admin.registry.version, admin.logged]).toEqual([1, []])
  })

  test('that nobody reads do not become the next request', async () => {
    await using admin = await openAdmin()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    try {
      const smuggled = 'GET /audit HTTP/1.1\r\nHost: localhost\r\n\r\n'
      for (const [method, path] of [
        ['POST', '/nothing'],
        ['DELETE', '/plugins/x'],
        ['PATCH', '/plugins'],
        ['GET', '/services'],
      ] as const) {
        const { status } = await admin.call(method, path, { text: smuggled, headers: JSON_TYPE, agent })
        expect([404, 204, 405, 200]).toContain(status)
        expect(await admin.call('GET', '/services', { agent })).toMatchObject({
          status: 200,
          body: { data: [], next: null },
        })
      }
    } finally {
      agent.destroy()
    }
  })

  test('heads that never end are given up', async () => {
    await using admin = await openAdmin({ timeoutMs: 100 })
    const silent = await opened(admin.url)
    silent.write('GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ')
    // Node's own answer, or none, whichever of its timers is first.
    expect(await untilClosed(silent)).toMatch(/^(?:HTTP\/1\.1 408 |$)/)
    const slow = await opened(admin.url)
    slow.write('GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ')
    const trickle = setInterval(() => slow.write('a'), 20)
    try {
      expect(await untilClosed(slow)).toMatch(/^HTTP\/1\.1 408 /)
    } finally {
      clearInterval(trickle)
    }
  })
})

describe('closing', () => {
  test('ends with a request under way answered, and takes no more', async () => {
    const admin = await openAdmin()
    const socket = await opened(admin.url)
    socket.write(`${HEAD}Content-Length: 12\r\nConnection: close\r\n\r\n{"host"`)
    await admin.call('GET', '/')
    const closed = admin[Symbol.asyncDispose]()
    socket.write(':"h"}')
    expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 201 /)
    await closed
    await expect(admin.call('GET', '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('cuts off who is still not answered after its time', async () => {
    const registry = await createRegistry({ store: memoryStore() })
    const admin = await listenAdmin({ registry, port: 0, timeoutMs: 100 })
    const socket = await opened(admin.url)
    socket.write('GET / HTTP/1.1\r\nHost: loc')
    // Answered after the bytes above have come.
    const other = await opened(admin.url)
    other.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    await untilClosed(other)
    const closed = admin.close()
    expect(await untilClosed(socket)).toBe('')
    await closed
    await admin.close()
    await registry.close()
  })
})
