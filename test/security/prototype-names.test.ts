import { canary as expressCanary, createServer as createExpressServer } from '@canary-release/express'
import { canary as koaCanary, createServer as createKoaServer } from '@canary-release/koa'
import { type ReleaseOptions, createRelease } from '@canary-release/core'
import express from 'express'
import Koa from 'koa'
import bodyParser from 'koa-bodyparser'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { GATEWAYS, type Gateway, type GatewayOptions, optionsFor, sendRaw, serving, statusesOf } from './gateways.js'
import { type RecordingUpstream, startRecordingUpstream } from './recording-upstream.js'

const NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__'] as const
const UPSTREAMS = { A: 'http://a.example', B: 'http://b.example' }
const BASE = { name: 'names', upstreams: UPSTREAMS, percentage: 100 } as const
const INHERITED = Object.getOwnPropertyNames(Object.prototype).sort()

afterEach(() => {
  expect(Object.getOwnPropertyNames(Object.prototype).sort()).toEqual(INHERITED)
  expect(Reflect.get({}, 'polluted')).toBeUndefined()
})

describe('options out of JSON', () => {
  const places = (name: string) => [
    `{"${name}":{"enabled":false}}`,
    `{"upstreams":{"A":"http://a","B":"http://b","${name}":{"polluted":1}}}`,
    `{"upstreams":{"A":"http://a","B":{"${name}":{"host":"evil.example"}}}}`,
    `{"upstreams":{"A":{"url":"http://a","${name}":{"tls":{"rejectUnauthorized":false}}},"B":"http://b"}}`,
    `{"hash":{"${name}":{"header":"x"}}}`,
    `{"hash":"${name}"}`,
    `{"override":{"${name}":{"header":"x"}}}`,
    `{"proxy":{"${name}":{"preserveHost":true}}}`,
    `{"health":{"path":"/","${name}":{"polluted":1}}}`,
    `{"guard":{"${name}":{"polluted":1}}}`,
    `{"state":{"${name}":{"polluted":1}}}`,
    `{"trustedIps":{"${name}":["0.0.0.0/0"]}}`,
    `{"mode":"${name}"}`,
  ]

  test.each(NAMES.flatMap(places))('%s is refused, when a release is made and when it is changed', (json) => {
    const said = JSON.parse(json) as Partial<ReleaseOptions>
    const refusal = expect.objectContaining({ code: 'ERR_CANARY_OPTION' })
    // Spreading would set `__proto__` on nothing, but leave it out.
    const whole = Object.defineProperties({ ...BASE }, Object.getOwnPropertyDescriptors(said))
    expect(() => createRelease(whole)).toThrow(refusal)
    const release = createRelease(BASE)
    const before = JSON.stringify(Reflect.get(release, 'options'))
    expect(() => release.update(said)).toThrow(refusal)
    expect(JSON.stringify(Reflect.get(release, 'options'))).toBe(before)
    release.close()
  })
})

describe('a release whose groups, consumers and salt have names of Object.prototype', () => {
  test.each(NAMES)('%s', (name) => {
    const allow = createRelease({ ...BASE, hash: { allow: [name] } })
    const others = NAMES.filter((other) => other !== name)
    expect(allow.decide({ groups: [name] }).upstream).toBe('B')
    expect(allow.decide({ groups: others }).upstream).toBe('A')
    const deny = createRelease({ ...BASE, hash: { deny: [name] } })
    expect(deny.decide({ groups: [name] }).upstream).toBe('A')
    expect(deny.decide({ groups: others }).upstream).toBe('B')
    const half = createRelease({ ...BASE, name, salt: name, percentage: 50 })
    const decision = half.decide({ consumer: name })
    expect(decision).toMatchObject({ hashedBy: 'consumer', release: name })
    expect(half.decide({ consumer: name })).toEqual(decision)
    const byHeader = createRelease({ ...BASE, hash: { header: name }, override: { cookie: name } })
    expect(byHeader.decide({ consumer: 'x', headers: {}, cookies: {} }).hashedBy).toBe('consumer')
    expect(byHeader.decide(JSON.parse(`{"headers":{"${name}":"x"}}`)).hashedBy).toBe('header')
    expect(byHeader.decide(JSON.parse(`{"cookies":{"${name}":"never"}}`))).toMatchObject({
      upstream: 'A',
      reason: 'override',
    })
    expect(byHeader.explain({ consumer: name }).decision.upstream).toBe('B')
  })
})

for (const [framework, start] of Object.entries(GATEWAYS)) {
  describe(`requests through ${framework} where headers and cookies have names of Object.prototype`, () => {
    let upstreams: readonly [RecordingUpstream, RecordingUpstream]
    beforeAll(async () => {
      upstreams = [await startRecordingUpstream(), await startRecordingUpstream()]
      return async () => {
        for (const upstream of upstreams) await upstream[Symbol.asyncDispose]()
      }
    })

    /** Where a request with these headers ends up: A or B. */
    async function sideOf(options: Partial<GatewayOptions>, lines: readonly string[]) {
      const [A, B] = upstreams.map(({ port }) => `http://127.0.0.1:${port}`)
      const gateway: Gateway = await start(optionsFor({ A: A ?? '', B: B ?? '' }, { percentage: 100, ...options }))
      const text = await sendRaw(
        gateway.port,
        ['GET / HTTP/1.1', 'Host: x', 'Connection: close', ...lines, '', ''].join('\r\n'),
      )
      await gateway.close()
      expect(statusesOf(text), text).toEqual([200])
      const [toA = '', toB = ''] = upstreams.map((upstream) => upstream.take())
      expect([toA, toB]).toContain('')
      return toA === '' ? 'B' : 'A'
    }

    test.each(NAMES)('%s', async (name) => {
      const both = [[], [`${name}: never`], [`Cookie: ${name}=never; x${name}=always`]] as const
      for (const lines of both) {
        expect(await sideOf({ hash: { header: name } }, lines)).toBe('B')
        expect(await sideOf({ hash: { cookie: name } }, lines)).toBe('B')
        expect(await sideOf({ hash: 'ip', realIpHeader: name, trustedIps: ['loopback'] }, lines)).toBe('B')
        expect(await sideOf({ hash: 'ip', realIpHeader: name }, lines)).toBe('B')
        expect(await sideOf({ exposeHeader: name }, lines)).toBe('B')
        expect(await sideOf({ proxy: { decisionHeader: name } }, lines)).toBe('B')
      }
      const [none, header, cookie] = both
      // Node itself keeps no header of this name.
      const heard = name === '__proto__' ? 'B' : 'A'
      expect(await sideOf({ override: { header: name } }, header)).toBe(heard)
      expect(await sideOf({ override: { cookie: name } }, cookie)).toBe('A')
      expect(await sideOf({ override: { header: name, cookie: name } }, none)).toBe('B')
    })
  })
}

describe('a form with names of Object.prototype that a parser has read', () => {
  const FORM =
    '__proto__[polluted]=1&__proto__=2&constructor[prototype][polluted]=3&toString=4&a[__proto__][polluted]=5&b=6'

  const applications = {
    async express(url: string): Promise<Gateway> {
      const app = express()
      const middleware = expressCanary(optionsFor({ A: url, B: url }))
      app.use(express.urlencoded({ extended: true }), middleware)
      return serving(createExpressServer(app), middleware.close)
    },
    async koa(url: string): Promise<Gateway> {
      const app = new Koa()
      const middleware = koaCanary(optionsFor({ A: url, B: url }))
      app.use(bodyParser()).use(middleware)
      return serving(createKoaServer(app), middleware.close)
    },
  }

  async function sendForm(application: keyof typeof applications) {
    await using upstream = await startRecordingUpstream()
    const gateway = await applications[application](`http://127.0.0.1:${upstream.port}`)
    const text = await sendRaw(
      gateway.port,
      `POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${FORM.length}\r\n\r\n${FORM}`,
    )
    await gateway.close()
    return { text, received: upstream.take() }
  }

  test('is refused by express, whose parser nests it, and pollutes nothing', async () => {
    const { text, received } = await sendForm('express')
    expect(statusesOf(text), text).toEqual([500])
    expect(received).toBe('')
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  })

  test('is sent on by koa as it came, whose parser keeps the bytes, and pollutes nothing', async () => {
    const { text, received } = await sendForm('koa')
    expect(statusesOf(text), text).toEqual([200])
    const [head = '', body = ''] = received.split('\r\n\r\n')
    expect(head).toContain(`\r\ncontent-length: ${FORM.length}`)
    expect(body).toBe(FORM)
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  })
})
