import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRegistry, exportDeclarative, fileStore, parseDeclarative } from '@canary-release/core/registry'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type OpenAdmin, openAdmin } from '../../packages/admin/test/client.js'
import { WRITTEN, saidBy } from './written-credentials.js'

/** Where a path is wanted: two slashes begin one, and what follows is no secret then. */
const asPath = (url: string): string => (url.startsWith('//') ? url.slice(2) : url)

const CREDENTIALS = /s3cr3tpw|us3rnam3/i

/** What a registry does with a URL that holds credentials: it refuses it, so that there are none to be kept or shown. */
describe('credentials in a location of a record', () => {
  let admin: OpenAdmin
  let folder: string
  let seed: string

  beforeAll(async () => {
    admin = await openAdmin()
    folder = await mkdtemp(join(tmpdir(), 'canary-'))
    await admin.call('POST', '/services', { json: { name: 'good', url: 'http://good' } })
    const path = join(folder, 'seed.json')
    const registry = await createRegistry({ store: fileStore(path) })
    await registry.change('seed', (draft) => void draft.create('services', { name: 'a', host: 'replaced' }))
    await registry.close()
    seed = await readFile(path, 'utf8')
  })

  afterAll(async () => {
    await admin[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  test.each(WRITTEN)('%j is refused by the Admin API, whose answer and log do not name them', async (url) => {
    const canary = (config: object) => ({ name: 'canary', config: { percentage: 1, ...config } })
    for (const [method, path, json] of [
      ['POST', '/services', { url }],
      ['POST', '/services', { host: url }],
      ['POST', '/services', { host: 'h', path: asPath(url) }],
      ['PATCH', '/services/good', { url }],
      ['PUT', '/services/good', { host: url }],
      ['POST', '/apis', { name: 'a', hosts: ['h'], upstream_url: url }],
      ['POST', '/services/good/plugins', canary({ upstream_host: url })],
      ['POST', '/services/good/plugins', canary({ upstream_uri: asPath(url) })],
      ['POST', '/plugins', canary({ upstream_host: url })],
    ] as const) {
      const answer = await admin.call(method, path, { json })
      expect([answer.status, path]).toEqual([400, path])
      expect(JSON.stringify(answer)).not.toMatch(CREDENTIALS)
    }
    const form = await admin.call('POST', '/services', { form: [`url=${Buffer.from(url).toString()}`] })
    expect([form.status, CREDENTIALS.test(JSON.stringify(form))]).toEqual([400, false])
    expect(admin.logged.join('\n')).not.toMatch(CREDENTIALS)
    const kept = [
      await admin.call('GET', '/services'),
      await admin.call('GET', '/plugins'),
      exportDeclarative(admin.registry),
    ]
    expect(JSON.stringify(kept)).not.toMatch(CREDENTIALS)
  })

  test.each(WRITTEN)('%j is refused in a declarative file, by an error that does not name them', async (url) => {
    const file = (services: object[], more: object = {}) =>
      JSON.stringify({ _format_version: '3.0', services, ...more })
    const good = { name: 'good', url: 'http://good' }
    const texts = [
      file([{ name: 'a', url }]),
      file([{ name: 'a', host: url }]),
      file([{ name: 'a', host: 'h', path: asPath(url) }]),
      file([{ ...good, plugins: [{ name: 'canary', config: { percentage: 1, upstream_host: url } }] }]),
      file([good], { plugins: [{ name: 'canary', config: { percentage: 1, upstream_uri: asPath(url) } }] }),
      // Written wrong all around them.
      `_format_version: "3.0"\nservices:\n- name: a\n  url: [ ${url}\n- }`,
      `_format_version: "3.0"\nservices:\n- name: a\n  url: "${url}\n`,
      `{"_format_version": "3.0", "services": [{"name": "a", "url": "${url}" "x"}]}`,
      `{"_format_version": "3.0", "services": [{"name": "a", "url": ${url}}]}`,
    ]
    for (const text of texts) {
      const error: unknown = await parseDeclarative(text).catch((refusal: unknown) => refusal)
      expect(error).toMatchObject({ code: 'ERR_CANARY_OPTION' })
      expect(saidBy(error)).not.toMatch(CREDENTIALS)
    }
  })

  test.each(WRITTEN)(
    '%j is refused in a store that was edited by hand, by an error that does not name them',
    async (url) => {
      const path = join(folder, 'store.json')
      const logged: string[] = []
      const log = (message: string) => void logged.push(message)
      const logger = { info: log, warn: log, error: log }
      for (const edited of [
        seed.replace('"replaced"', () => JSON.stringify(url)),
        seed.replace('"replaced"', () => `"${url}" 1`),
      ]) {
        await writeFile(path, edited)
        const error = await createRegistry({ store: fileStore(path, { logger }), logger }).then(
          async (registry) => registry.close(),
          (refusal: unknown) => refusal,
        )
        expect(error).toMatchObject({ code: 'ERR_CANARY_STORE' })
        expect(saidBy(error) + logged.join('\n')).not.toMatch(CREDENTIALS)
      }
    },
  )
})
