import { once } from 'node:events'
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import websocket from '@fastify/websocket'
import { type UpgradeOptions, attachUpgrades, createHandler } from '@canary-release/core/node'
import * as forExpress from '@canary-release/express'
import { canary as fastifyCanary } from '@canary-release/fastify'
import * as forKoa from '@canary-release/koa'
import express from 'express'
import express4 from 'express4'
import expressWs from 'express-ws'
import Fastify, { type FastifyInstance } from 'fastify'
import Koa from 'koa'
import Koa2 from 'koa2'
import koaMount from 'koa-mount'
import { Server as SocketIo } from 'socket.io'
import { io } from 'socket.io-client'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'

type Listener = (request: IncomingMessage, response: ServerResponse) => unknown

const opened: (() => unknown)[] = []
const warnings: Error[] = []
const onWarning = (warning: Error) => void warnings.push(warning)
let upstream = ''

beforeAll(async () => {
  process.on('warning', onWarning)
  const server = createServer((_request, response) => void response.end('upstream'))
  new WebSocketServer({ server }).on('connection', (client, { url }) => {
    client.on('message', (data) => client.send(`upstream ${url} ${String(data)}`))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  upstream = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => void process.off('warning', onWarning))
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
  warnings.splice(0)
})

const SILENT = { info() {}, warn() {}, error() {} }
const options = () => ({
  name: 'listeners',
  upstreams: { A: upstream, B: upstream },
  percentage: 50,
  logger: SILENT,
})

async function listen(server: Server): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  opened.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What a WebSocket is answered to `hello`; the status where it is refused. */
async function hello(url: string, path: string): Promise<string> {
  const client = new WebSocket(`${url.replace('http', 'ws')}${path}`)
  const answer = await new Promise<string>((resolve) => {
    client.on('open', () => client.send('hello'))
    client.on('message', (data) => resolve(String(data)))
    client.on('unexpected-response', (_request, response) => {
      resolve(String(response.statusCode))
      response.resume()
    })
    client.on('error', (error) => resolve(error.message))
    client.on('close', () => resolve('closed'))
  })
  client.terminate()
  return answer
}

/** What Socket.IO is answered to `hello`. */
async function helloIo(url: string, transports: string[]): Promise<string> {
  const client = io(url, { transports, reconnection: false, forceNew: true })
  const answer = await new Promise<string>((resolve) => {
    client.on('connect_error', (error) => resolve(error.message))
    client.on('answer', resolve)
    client.on('connect', () => {
      const { engine } = client.io
      // Polling first: what counts is that it gets over to a WebSocket.
      if (engine.transport.name === 'websocket') client.emit('hello', 'hello')
      else engine.once('upgrade', () => client.emit('hello', 'hello'))
    })
  })
  client.close()
  return answer
}

/** Applications with a canary at /orders, each with what creates and what attaches to a server. */
interface App {
  readonly listener: Listener
  create(options?: UpgradeOptions): Server
  attach(server: Server, options?: UpgradeOptions): () => void
}

const APPS: Record<string, () => App> = {
  'Express 4': () => expressApp(express4 as unknown as typeof express),
  'Express 5': () => expressApp(express),
  'Koa 2': () => koaApp(Koa2 as unknown as typeof Koa),
  'Koa 3': () => koaApp(Koa),
  'node:http': () => {
    const handler = createHandler(options())
    opened.push(() => handler.close(0))
    const listener: Listener = (request, response) => {
      if (/^\/orders(?:[/?]|$)/i.test(request.url ?? '')) return handler(request, response)
      return response.writeHead(request.url === '/forbidden' ? 403 : 404).end('nothing')
    }
    return {
      listener,
      create(given) {
        const server = createServer(listener)
        attachUpgrades(server, listener, given)
        return server
      },
      attach: (server, given) => attachUpgrades(server, listener, given),
    }
  },
}

function expressApp(create: typeof express): App {
  const app = create()
  const middleware = forExpress.canary(options())
  opened.push(() => middleware.close(0))
  app.use('/orders', middleware)
  app.use('/forbidden', (_request, response) => void response.sendStatus(403))
  return {
    listener: app,
    create: (given) => forExpress.createServer(app, given),
    attach: (server, given) => forExpress.attachUpgrades(server, app, given),
  }
}

function koaApp(Application: typeof Koa): App {
  const app = new Application()
  const middleware = forKoa.canary(options())
  opened.push(() => middleware.close(0))
  app.use(koaMount('/orders', middleware as never))
  app.use((context) => {
    if (context.path === '/forbidden') context.status = 403
  })
  return {
    listener: app.callback(),
    create: (given) => forKoa.createServer(app, given),
    attach: (server, given) => forKoa.attachUpgrades(server, app, given),
  }
}

/** Those that have sockets of their own on a server, and how they are greeted. */
const OWN: Record<string, { add(server: Server): void; greet(url: string): Promise<string> }> = {
  'ws with the server': {
    add: (server) => answering(new WebSocketServer({ server, path: '/own' })),
    greet: (url) => hello(url, '/own'),
  },
  'ws without a server': {
    add(server) {
      const own = new WebSocketServer({ noServer: true })
      answering(own)
      server.on('upgrade', (request, socket, head) => {
        if (request.url === '/own') own.handleUpgrade(request, socket, head, (client) => own.emit('connection', client))
      })
    },
    greet: (url) => hello(url, '/own'),
  },
  'Socket.IO by WebSocket': { add: addSocketIo, greet: (url) => helloIo(url, ['websocket']) },
  'Socket.IO by polling first': { add: addSocketIo, greet: (url) => helloIo(url, ['polling', 'websocket']) },
}

function answering(own: WebSocketServer): void {
  opened.push(() => own.close())
  own.on('connection', (client) => client.on('message', (data) => client.send(`own ${String(data)}`)))
}

function addSocketIo(server: Server): void {
  const own = new SocketIo(server, { serveClient: false })
  own.on('connection', (client) => client.on('hello', (text) => client.emit('answer', `own ${text}`)))
  opened.push(() => own.disconnectSockets(true))
}

const CANARY = 'upstream / hello'
const OPTIONS: readonly UpgradeOptions[] = [
  {},
  { upgrades: '/orders' },
  { upgrades: ['/else', '/orders/'] },
  { upgrades: ({ url }) => url?.startsWith('/orders') === true },
]
const warned = () => warnings.filter((warning) => Reflect.get(warning, 'code') === 'CANARY_UPGRADES')

describe.each(Object.keys(APPS))('%s beside', (name) => {
  const make = () => {
    const app = APPS[name]?.()
    if (app === undefined) throw new Error(`no ${name}`)
    return app
  }
  const pathAtUpstream = name === 'node:http' ? 'upstream /orders hello' : CANARY

  for (const [own, { add, greet }] of Object.entries(OWN)) {
    test.each(OPTIONS)(`${own}: both get their own sockets, with $upgrades`, async (given) => {
      const server = make().create(given)
      add(server)
      const url = await listen(server)
      expect(await greet(url)).toBe('own hello')
      expect(await hello(url, '/orders')).toBe(pathAtUpstream)
      expect(await greet(url)).toBe('own hello')
      expect(warned()).toHaveLength(given.upgrades === undefined ? 1 : 0)
    })

    test.each(OPTIONS)(`${own} that was there before: both get their own sockets, with $upgrades`, async (given) => {
      const app = make()
      const server = createServer(app.listener)
      add(server)
      app.attach(server, given)
      const url = await listen(server)
      expect(await hello(url, '/orders')).toBe(pathAtUpstream)
      expect(await greet(url)).toBe('own hello')
      expect(warned()).toHaveLength(given.upgrades === undefined ? 1 : 0)
    })
  }

  test('itself, attached twice: each upgrade is answered once', async () => {
    const app = make()
    const server = app.create()
    const detach = app.attach(server)
    const url = await listen(server)
    expect(server.listenerCount('upgrade')).toBe(1)
    expect(await hello(url, '/orders')).toBe(pathAtUpstream)
    expect(await hello(url, '/nothing')).toBe('404')
    detach()
    detach()
    expect(await hello(url, '/orders')).toBe(pathAtUpstream)
    expect(warnings).toEqual([])
  })

  test('another application: each is asked, and the last one’s 404 is sent', async () => {
    const other = createHandler(options())
    opened.push(() => other.close(0))
    const server = make().create()
    attachUpgrades(server, (request, response) =>
      request.url === '/other' ? other(request, response) : response.writeHead(404).end('neither'),
    )
    const url = await listen(server)
    expect(await hello(url, '/orders')).toBe(pathAtUpstream)
    expect(await hello(url, '/other')).toBe('upstream /other hello')
    expect(await hello(url, '/forbidden')).toBe('403')
    expect(await hello(url, '/nothing')).toBe('404')
  })

  test('another application: each has what it claims', async () => {
    const other = createHandler(options())
    opened.push(() => other.close(0))
    const server = make().create({ upgrades: '/orders' })
    attachUpgrades(server, other, { upgrades: '/other' })
    answering(new WebSocketServer({ server, path: '/own' }))
    const url = await listen(server)
    expect(await hello(url, '/orders')).toBe(pathAtUpstream)
    expect(await hello(url, '/other/x')).toBe('upstream /other/x hello')
    expect(await hello(url, '/own')).toBe('own hello')
    expect(warnings).toEqual([])
  })

  test('nobody: it answers what nobody claims, and the connection closes', async () => {
    const url = await listen(make().create({ upgrades: '/orders' }))
    expect(await hello(url, '/forbidden')).toBe('403')
    expect(await hello(url, '/orders')).toBe(pathAtUpstream)
    expect(await hello(url, '/orders-old')).toBe('404')
  })

  test('a listener that must not see what is claimed, and sees all else as it came', async () => {
    const server = make().create({ upgrades: ['/forbidden', '/orders'] })
    const seen: unknown[] = []
    const calls: unknown[][] = []
    server.prependListener('upgrade', function (this: unknown, ...given: [IncomingMessage, Duplex, Buffer]) {
      seen.push(this === server, given[0].url, given[1] === given[0].socket)
      given[1].end('HTTP/1.1 418 Mine\r\nContent-Length: 0\r\n\r\n')
    })
    server.once('upgrade', (...given) => void calls.push(given))
    const off = () => void calls.push([])
    server.on('upgrade', off)
    server.off('upgrade', off)
    const url = await listen(server)
    expect(await hello(url, '/forbidden')).toBe('403')
    expect(await hello(url, '/ORDERS/x?y')).toMatch(name.startsWith('Koa') ? '404' : /^upstream \S*\/x\?y hello$/)
    expect(seen).toEqual([])
    expect(await hello(url, '/own')).toBe('418')
    expect(await hello(url, '/orderss')).toBe('418')
    expect(seen).toEqual([true, '/own', true, true, '/orderss', true])
    expect(calls).toHaveLength(1)
  })

  test('a listener, without saying what is whose: all but a 404 is the answer', async () => {
    const server = make().create()
    const seen: unknown[] = []
    server.on('upgrade', ({ url }, socket) => {
      seen.push(url)
      socket.end('HTTP/1.1 418 Mine\r\nContent-Length: 0\r\n\r\n')
    })
    const url = await listen(server)
    expect(await hello(url, '/forbidden')).toBe('403')
    expect(seen).toEqual([])
    expect(await hello(url, '/own?x=1')).toBe('418')
    expect(seen).toEqual(['/own?x=1'])
    server.removeAllListeners('upgrade')
    expect(server.listenerCount('upgrade')).toBe(0)
  })

  test('the server as it was, once it is detached', async () => {
    const app = make()
    const server = createServer(app.listener)
    const { emit } = server
    const detach = app.attach(server, { upgrades: '/orders' })
    const detachAgain = app.attach(server)
    answering(new WebSocketServer({ server, path: '/own' }))
    detach()
    detachAgain()
    expect([server.emit === emit, Object.hasOwn(server, 'emit'), server.listenerCount('upgrade')]).toEqual([
      true,
      false,
      1,
    ])
    const url = await listen(server)
    expect(await hello(url, '/orders')).toBe('400')
    expect(await hello(url, '/own')).toBe('own hello')
  })
})

describe('express-ws', () => {
  test.each([{ upgrades: '/orders' }, {}])('has its own sockets beside a canary with %o', async (given) => {
    const app = express()
    const middleware = forExpress.canary(options())
    opened.push(() => middleware.close(0))
    app.use('/orders', middleware)
    const server = forExpress.createServer(app, given)
    expressWs(app as never, server).app.ws('/own', (client) => {
      client.on('message', (data) => client.send(`own ${String(data)}`))
    })
    const url = await listen(server)
    expect(await hello(url, '/own')).toBe('own hello')
    expect(await hello(url, '/orders')).toBe(CANARY)
    expect(warned()).toHaveLength(given.upgrades === undefined ? 1 : 0)
  })
})

describe('Fastify', () => {
  const own = async (app: FastifyInstance) => {
    app.get('/own', { websocket: true }, (client) => {
      client.on('message', (data) => client.send(`own ${String(data)}`))
    })
  }
  async function start(app: FastifyInstance): Promise<string> {
    await app.listen({ port: 0, host: '127.0.0.1' })
    opened.push(() => app.close())
    return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  }
  const plugin = (prefix?: string) => ({ ...(prefix === undefined ? {} : { prefix }), ...options(), graceMs: 0 })

  test.each([
    ['before the canary', '/orders', CANARY],
    ['before the canary', undefined, 'upstream /orders hello'],
    ['after the canary', '/orders', CANARY],
    ['after the canary', undefined, 'upstream /orders hello'],
  ])('@fastify/websocket registered %s with prefix %s: both get their own sockets', async (order, prefix, answer) => {
    const app = Fastify()
    const register = [
      async () => void (await app.register(websocket), await app.register(own)),
      async () => void (await app.register(fastifyCanary, plugin(prefix))),
    ]
    for (const one of order.startsWith('before') ? register : register.toReversed()) await one()
    const url = await start(app)
    expect(await hello(url, '/own')).toBe('own hello')
    expect(await hello(url, '/orders')).toBe(answer)
    expect(await hello(url, '/own')).toBe('own hello')
    const injected = await app.injectWS('/own')
    injected.send('hello')
    expect(String((await once(injected, 'message'))[0])).toBe('own hello')
    injected.terminate()
    expect(warnings).toEqual([])
  })

  for (const [name, { add, greet }] of Object.entries(OWN)) {
    test.each(['/orders', '/:tenant', undefined])(
      `${name} beside the prefix %s: both get their own`,
      async (prefix) => {
        const app = Fastify()
        await app.register(fastifyCanary, plugin(prefix ?? '/orders'))
        add(app.server)
        const url = await start(app)
        // A prefix of parameters alone is for everything that has a segment.
        if (prefix !== '/:tenant') expect(await greet(url)).toBe('own hello')
        expect(await hello(url, '/orders/x')).toBe('upstream /x hello')
        expect(warnings).toEqual([])
      },
    )
  }

  test('two canaries and their prefixes, in whatever way they come', async () => {
    const app = Fastify({ routerOptions: { caseSensitive: false, ignoreDuplicateSlashes: true } })
    await app.register(fastifyCanary, plugin('/orders'))
    await app.register(fastifyCanary, plugin('/:tenant/chat'))
    answering(new WebSocketServer({ server: app.server, path: '/own' }))
    const url = await start(app)
    expect(await hello(url, '/orders/x?y')).toBe('upstream /x?y hello')
    expect(await hello(url, '/%6frders/x')).toBe('upstream /x hello')
    expect(await hello(url, '/ORDERS//x')).toBe('upstream //x hello')
    expect(await hello(url, '/acme/chat/x')).toBe('upstream /x hello')
    expect(await hello(url, '/own')).toBe('own hello')
    expect(await hello(url, '/orders-old')).toBe('400')
    expect(await hello(url, '/acme/chats')).toBe('400')
    expect(await hello(url, '//chat')).toBe('400')
  })
})

describe('the listeners of a server', () => {
  const answer = (socket: Duplex, status: number) =>
    void socket.end(`HTTP/1.1 ${status} Own\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)

  test('may be taken off and called by one of them, for what is not his', async () => {
    const handler = createHandler(options())
    opened.push(() => handler.close(0))
    const server = createServer(handler)
    attachUpgrades(server, handler, { upgrades: '/claimed' })
    const before = server.listeners('upgrade')
    server.removeAllListeners('upgrade')
    server.on('upgrade', (request, socket, head) => {
      if (request.url === '/own') return answer(socket, 418)
      for (const listener of before) Reflect.apply(listener, server, [request, socket, head])
      return undefined
    })
    const url = await listen(server)
    expect(await hello(url, '/own')).toBe('418')
    expect(await hello(url, '/orders')).toBe('upstream /orders hello')
    expect(await hello(url, '/claimed')).toBe('upstream /claimed hello')
  })

  test('go while the application is still asked: its 404 is sent then', async () => {
    const server = createServer()
    let respond = () => {}
    const asked = new Promise<void>((resolve) => {
      attachUpgrades(server, (_request, response) => {
        respond = () => void response.writeHead(404).end('nothing')
        resolve()
      })
    })
    const other = () => {}
    server.on('upgrade', other)
    const url = await listen(server)
    const status = hello(url, '/own')
    await asked
    server.off('upgrade', other)
    respond()
    expect(await status).toBe('404')
  })

  test('get an upgrade whose application was detached while it was asked', async () => {
    const server = createServer()
    let respond = () => {}
    let detach = () => {}
    const asked = new Promise<void>((resolve) => {
      detach = attachUpgrades(server, (_request, response) => {
        respond = () => void response.writeHead(404).end('nothing')
        resolve()
      })
    })
    server.on('upgrade', (_request, socket) => answer(socket, 418))
    const status = hello(await listen(server), '/own')
    await asked
    detach()
    respond()
    expect(await status).toBe('418')
  })

  test('do not get an upgrade whose client has left, and the application is told', async () => {
    const server = createServer()
    const seen: unknown[] = []
    server.on('upgrade', ({ url }) => void seen.push(url))
    const asked = new Promise<ServerResponse>((resolve) => {
      attachUpgrades(server, (_request, response) => resolve(response))
    })
    const client = new WebSocket(`${(await listen(server)).replace('http', 'ws')}/own`).on('error', () => {})
    const response = await asked
    const closed = once(response, 'close')
    client.terminate()
    await closed
    response.writeHead(404).end('nothing')
    await new Promise(setImmediate)
    await new Promise(setImmediate)
    expect(seen).toEqual([])
  })

  test('get what an application answers 404 in pieces, and it comes to its end', async () => {
    const server = createServer()
    server.on('upgrade', (_request, socket) => answer(socket, 418))
    const ended = new Promise<boolean>((resolve) => {
      attachUpgrades(server, (_request, response) => {
        response.on('close', () => resolve(response.writableFinished))
        response.statusCode = 404
        const write = (left: number): void => {
          if (left === 0) return void response.end()
          if (response.write('x'.repeat(100_000))) write(left - 1)
          else response.once('drain', () => write(left - 1))
        }
        write(50)
      })
    })
    expect(await hello(await listen(server), '/own')).toBe('418')
    expect(await ended).toBe(true)
  })

  test('do not get what an application cuts off', async () => {
    const server = createServer()
    const seen: unknown[] = []
    server.on('upgrade', ({ url }) => void seen.push(url))
    attachUpgrades(server, (_request, response) => void response.destroy())
    expect(await hello(await listen(server), '/own')).toBe('socket hang up')
    expect(seen).toEqual([])
  })

  test('see requests to upgrade to h2c as ordinary ones, unless they are left to them', async () => {
    const server = createServer()
    const seen: unknown[] = []
    const listener: Listener = (request, response) => {
      seen.push(request.headers.upgrade)
      response.end('ordinary')
    }
    server.on('request', listener)
    attachUpgrades(server, listener, { upgrades: '/claimed' })
    const detach = attachUpgrades(server, listener)
    server.on('upgrade', (_request, socket) => answer(socket, 418))
    const url = await listen(server)
    const statusOf = async (path: string) => {
      const { get } = await import('node:http')
      const [response] = await once(
        get(`${url}${path}`, { agent: false, headers: { connection: 'Upgrade', upgrade: 'h2c' } }),
        'response',
      )
      response.resume()
      return response.statusCode
    }
    expect(await statusOf('/claimed')).toBe(200)
    expect(await statusOf('/x')).toBe(200)
    detach()
    expect(await statusOf('/claimed')).toBe(200)
    expect(await statusOf('/x')).toBe(418)
    expect(seen).toEqual([undefined, undefined, undefined])
  })

  test('and what traces a server’s events on its prototype see what they would', async () => {
    const handler = createHandler(options())
    opened.push(() => handler.close(0))
    const server = createServer(handler)
    attachUpgrades(server, handler)
    const events: unknown[] = []
    const prototype = Object.getPrototypeOf(server)
    Object.setPrototypeOf(
      server,
      Object.create(prototype, {
        emit: {
          value(this: Server, ...given: readonly unknown[]): unknown {
            events.push(given[0])
            return Reflect.apply(Reflect.get(prototype, 'emit'), this, given)
          },
        },
      }),
    )
    const url = await listen(server)
    await (await fetch(`${url}/orders`)).text()
    expect(events).toContain('request')
  })

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('no idea')
      },
    ],
    ['returns no boolean', () => 'yes'],
    ['returns a promise', async () => true],
    [
      'rejects',
      async () => {
        throw new Error('no idea')
      },
    ],
  ])('are spared a function `upgrades` that %s: 500, and one warning', async (_what, upgrades) => {
    const handler = createHandler(options())
    opened.push(() => handler.close(0))
    const server = createServer(handler)
    attachUpgrades(server, handler, { upgrades: upgrades as () => boolean })
    server.on('upgrade', (_request, socket) => answer(socket, 418))
    const url = await listen(server)
    expect(await hello(url, '/orders')).toBe('500')
    expect(await hello(url, '/orders')).toBe('500')
    expect(warned().map(({ message }) => message)).toEqual([expect.stringContaining('`upgrades`')])
  })
})

describe('the option upgrades', () => {
  const app = express()
  const koa = new Koa()
  test.each<[unknown, string]>([
    ['orders', 'upgrades must be a path that begins with /, such as \'/orders\', and has no *, ? or #, got "orders"'],
    ['', 'upgrades must be a path that begins with /, such as \'/orders\', and has no *, ? or #, got ""'],
    ['/orders/*', 'upgrades must be a path'],
    ['/orders?x', 'upgrades must be a path'],
    [5, "upgrades must be a path such as '/orders', a list of one path or more, or a function of the request, got 5"],
    [null, 'upgrades must be a path such as'],
    [true, 'upgrades must be a path such as'],
    [/orders/, 'upgrades must be a path such as'],
    [[], 'upgrades must be a path such as'],
    [['/a', 'b'], 'upgrades.1 must be a path that begins with /'],
    [['/a', 7], 'upgrades.1 must be a path'],
  ])('is refused where it is %o', (upgrades, message) => {
    const given = { upgrades } as UpgradeOptions
    const error = expect.objectContaining({ code: 'ERR_CANARY_OPTION', message: expect.stringContaining(message) })
    const server = createServer()
    for (const make of [
      () => forExpress.createServer(app, given),
      () => forExpress.attachUpgrades(server, app, given),
      () => forKoa.createServer(koa, given),
      () => forKoa.attachUpgrades(server, koa, given),
      () => attachUpgrades(server, () => {}, given),
    ]) {
      expect(make).toThrow(error)
    }
    expect([server.listenerCount('upgrade'), Object.hasOwn(server, 'emit')]).toEqual([0, false])
  })

  test('is not misspelt', () => {
    expect(() => forExpress.createServer(app, { upgrade: '/orders' } as never)).toThrow(
      'upgrade is not an option: did you mean upgrades?',
    )
    expect(() => forKoa.createServer(koa, null as never)).toThrow(
      expect.objectContaining({ code: 'ERR_CANARY_OPTION' }),
    )
  })
})
