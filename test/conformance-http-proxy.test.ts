import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import ProxyServer from 'http-proxy'
import { afterAll, describe, expect } from 'vitest'
import { answers } from './conformance/answers.js'
import { bodies } from './conformance/bodies.js'
import { earlyAnswers } from './conformance/early-answers.js'
import { forwarding } from './conformance/forwarding.js'
import { FRAMEWORKS } from './conformance/frameworks.js'
import { hosts } from './conformance/hosts.js'
import { limits } from './conformance/limits.js'
import { loops } from './conformance/loops.js'
import { pipelines } from './conformance/pipelines.js'
import { type Stage, createStage } from './conformance/stage.js'

// What forwarding promises holds through http-proxy as well: the same behaviours, its Forwarder in the place of the own.
for (const [name, harness] of Object.entries(FRAMEWORKS)) {
  describe(`conformance of ${name} through http-proxy`, async () => {
    const { stage, end } = await createStage(harness)
    afterAll(end)
    const server = ProxyServer.createProxyServer()
    let sent = 0
    server.on('start', () => (sent += 1))
    afterAll(() => expect(sent).toBeGreaterThan(0))
    const through = throughHttpProxy(stage, server)
    describe('forwards', () => void forwarding(through))
    describe('reads hosts', () => void hosts(through))
    describe('sends bodies again', () => void bodies(through))
    describe('hears early answers', () => void earlyAnswers(through))
    describe('answers', () => void answers(through))
    describe('keeps its limits', () => void limits(through))
    describe('ends loops', () => void loops(through))
    describe('takes pipelines', () => void pipelines(through))
  })
}

function throughHttpProxy(stage: Stage, server: ProxyServer): Stage {
  const adapted = (more: object = {}): object => {
    if ('decide' in more) return more
    const proxy = 'proxy' in more && typeof more.proxy === 'object' ? more.proxy : {}
    return { ...more, proxy: { ...proxy, forwarder: httpProxyForwarder(server) } }
  }
  return {
    ...stage,
    options: (more) => stage.options(adapted(more)),
    app: (more, spec) => stage.app(adapted(more), spec),
  }
}
