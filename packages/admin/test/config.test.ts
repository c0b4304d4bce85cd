import { exportDeclarative } from '@canary-release/core/registry'
import { describe, expect, it } from 'vitest'
import { openAdmin } from './client.js'

const YAML = `
_format_version: "3.0"
services:
- name: orders
  url: http://orders:80
  plugins:
  - name: canary
    config: { percentage: 10, upstream_host: orders-v2 }
`
const NOTHING = { created: [], updated: [], deleted: [], skipped: [] }
const TWO_CREATED = {
  created: [{ kind: 'services', name: 'orders' }, { kind: 'plugins' }],
  updated: [],
  deleted: [],
  unchanged: 0,
}

describe('POST /config', () => {
  it.each([
    ['the text in a JSON field', { json: { config: YAML } }],
    ['a form', { form: [`config=${YAML}`] }],
    [
      'the file as the body',
      {
        json: {
          _format_version: '3.0',
          services: [
            {
              name: 'orders',
              url: 'http://orders:80',
              plugins: [{ name: 'canary', config: { percentage: 10, upstream_host: 'orders-v2' } }],
            },
          ],
        },
      },
    ],
  ])('takes %s, and the second time changes nothing', async (_, sent) => {
    await using admin = await openAdmin()
    expect(await admin.call('POST', '/config', sent)).toMatchObject({ status: 200, body: TWO_CREATED })
    const { version } = admin.registry
    expect(await admin.call('POST', '/config', sent)).toMatchObject({ status: 200, body: { ...NOTHING, unchanged: 2 } })
    expect(admin.registry.version).toBe(version)
  })

  it('says with dry_run what would change, and changes nothing', async () => {
    await using admin = await openAdmin()
    expect(await admin.call('POST', '/config?dry_run=true', { json: { config: YAML } })).toMatchObject({
      body: TWO_CREATED,
    })
    expect(admin.registry.version).toBe(0)
  })

  it('deletes what the file does not have', async () => {
    await using admin = await openAdmin()
    await admin.call('POST', '/services', { json: { name: 'old', url: 'http://old' } })
    const { body } = await admin.call('POST', '/config', { json: { config: YAML } })
    expect(body).toMatchObject({ deleted: [{ kind: 'services', name: 'old' }] })
    expect(exportDeclarative(admin.registry)).not.toContain('http://old')
  })

  it('refuses a wrong file with each fault and its line, and changes nothing', async () => {
    await using admin = await openAdmin()
    const config = YAML.replace('percentage: 10', 'percentage: 1000')
    expect(await admin.call('POST', '/config', { json: { config } })).toMatchObject({
      status: 400,
      body: {
        code: 14,
        name: 'invalid declarative configuration',
        message: expect.stringMatching(/line 8, column \d+: services\.0\.plugins\.0\.config\.percentage/),
      },
    })
    expect(admin.registry.version).toBe(0)
  })

  it('refuses what is not taken here, or with skip_unsupported lists it', async () => {
    await using admin = await openAdmin()
    const config = `${YAML}  - name: key-auth\n`
    expect(await admin.call('POST', '/config', { json: { config } })).toMatchObject({ status: 400 })
    expect(await admin.call('POST', '/config?skip_unsupported=1', { json: { config } })).toMatchObject({
      status: 200,
      body: { ...TWO_CREATED, skipped: [{ line: 9, path: 'services.0.plugins.1.name' }] },
    })
  })

  it.each([
    ['an empty body', {}],
    ['a list', { json: [] }],
    ['an empty string', { json: { config: '' } }],
  ])('refuses %s', async (_, sent) => {
    await using admin = await openAdmin()
    expect(await admin.call('POST', '/config', sent)).toMatchObject({ status: 400 })
  })

  it('refuses further files while as many as may wait are being read, and takes them again afterwards', async () => {
    await using admin = await openAdmin()
    const send = () => admin.call('POST', '/config?dry_run=1', { json: { config: YAML.padEnd(20_000, '\n#') } })
    const statuses = (await Promise.all(Array.from({ length: 20 }, send))).map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set([200, 503]))
    expect(await send()).toMatchObject({ status: 200 })
  })
})
