import { inspect } from 'node:util'
import { createRelease } from '@canary-release/core'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const SECRET = 's3cr3tpw'
const USER = 'us3rnam3'

/** Credentials in every wrong form that people and their tools write them. */
const WRITTEN = [
  `http://${USER}:${SECRET}@host/`,
  `http://${USER}:${SECRET}%40host`,
  `http://${USER}:${SECRET}%2540host/`,
  `http://${USER}:p@${SECRET}@host/`,
  `http://${USER}:${SECRET}`,
  `http://${USER}:${SECRET}/path`,
  `http://${SECRET}@`,
  `//${USER}:${SECRET}@host`,
  `//${USER}:${SECRET}`,
  `HTTP://${USER}:${SECRET}@HOST`,
  `HtTpS:\\\\${USER}:${SECRET}%40host`,
  `http:${USER}:${SECRET}@host`,
  `http:/${USER}:${SECRET}@host`,
  `ht\ttp://${USER}:${SECRET}@host`,
  `http://${USER}:${SECRET}\n@host`,
  `\n http://${USER}:${SECRET}@host`,
  `${USER}:${SECRET}@host`,
  `${USER}:${SECRET}://x@host`,
  `${USER}:${SECRET} http://x@host`,
  `http://${USER}:${SECRET}\uff20host`,
  `http://ünï:${SECRET}@hôst`,
  `http://${USER}:${SECRET}\ud800@host`,
  `http://host/?token=${SECRET}`,
  `http://host/#token=${SECRET}`,
  `http://${USER}:1#${SECRET}@host`,
  `http://${USER}:1?${SECRET}@host`,
  `http://${USER}:${SECRET}@host:99999/`,
  `ftp://${USER}:${SECRET}@host/`,
]

/** All that an error says to whoever logs or prints it. */
function saidBy(error: unknown): string {
  const texts: string[] = []
  for (let at = error, depth = 0; at instanceof Error && depth < 9; at = at.cause, depth += 1) {
    texts.push(String(at), at.stack ?? '', JSON.stringify(at), inspect(at, { depth: 9, showHidden: true }))
  }
  return texts.join('\n')
}

function refusalOf(build: () => { close(): unknown }): unknown[] {
  try {
    build().close()
  } catch (error) {
    return [error]
  }
  return []
}

/** What every option that takes a URL, or a part of one, says of a wrong one. */
function refusals(url: string): unknown[] {
  const good = 'http://127.0.0.1:9'
  const common = { name: 'n', percentage: 1 }
  return [
    ...refusalOf(() => createRelease({ ...common, upstreams: { A: url, B: good } })),
    ...refusalOf(() => createRelease({ ...common, upstreams: { A: good, B: url } })),
    ...refusalOf(() => createRelease({ ...common, upstreams: { A: good, B: { url } } })),
    ...refusalOf(() => createRelease({ ...common, upstreams: { A: good, B: { host: url } } })),
    ...refusalOf(() => createRelease({ ...common, upstreams: { A: good, B: { uri: url } } })),
  ]
}

describe('credentials in the URL of an upstream', () => {
  test.each(WRITTEN)('%j: no error names them', (url) => {
    const errors = refusals(url)
    expect(errors.length).toBeGreaterThanOrEqual(4)
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'ERR_CANARY_OPTION' })
      expect(saidBy(error)).not.toMatch(/s3cr3tpw|us3rnam3/i)
    }
  })

  test('whatever stands around them', () => {
    const noise = fc.string({
      unit: fc.constantFrom('a', ':', '/', '\\', '?', '#', '%', '[', ' ', '\n', 'é', '1', '@'),
    })
    const scheme = fc.constantFrom('http://', 'HTTPS://', '//', 'http:', 'http:\\\\', '', '\thttp://')
    const at = fc.constantFrom('@', '%40', '%2540', '\uff20')
    let refused = 0
    fc.assert(
      fc.property(scheme, noise, noise, at, noise, (open, before, after, sign, host) => {
        for (const error of refusals(`${open}${before}${SECRET}${after}${sign}${host}`)) {
          refused += 1
          expect(saidBy(error)).not.toContain(SECRET)
        }
      }),
      { seed: 4711, numRuns: 400 },
    )
    expect(refused).toBeGreaterThan(1200)
  })

  test('an update says as little, and changes nothing', () => {
    const release = createRelease({ name: 'n', percentage: 1, upstreams: { A: 'http://a', B: 'http://b' } })
    const before = JSON.stringify(release.status())
    for (const url of WRITTEN) {
      const [error] = refusalOf(() => {
        release.update({ upstreams: { A: 'http://a', B: url } })
        return release
      })
      expect(error).toBeInstanceOf(Error)
      expect(saidBy(error)).not.toMatch(/s3cr3tpw|us3rnam3/i)
    }
    expect(JSON.stringify(release.status())).toBe(before)
    release.close()
  })

  test('a URL without any is shown as it was given', () => {
    for (const [url, shown] of [
      ['ftp://host:21/path', 'ftp://host:21/path'],
      ['ws://[::1]:80/', 'ws://[::1]:80/'],
      ['//host:80/x', '//host:80/x'],
      ['localhost:3000', 'localhost:3000'],
    ]) {
      const [error] = refusals(url ?? '')
      expect(String(error)).toContain(`got ${JSON.stringify(shown)}`)
    }
  })
})

describe('what a release keeps', () => {
  test('shows no key and no passphrase of an upstream, however it is printed', () => {
    const tls = { key: `key ${SECRET}`, passphrase: SECRET }
    const upstreams = { A: 'https://a', B: { url: 'https://b', tls } }
    const release = createRelease({ name: 'n', percentage: 50, upstreams })
    const request = { headers: {}, consumer: 'c' }
    const said = [
      inspect(release, { depth: 9, showHidden: true }),
      JSON.stringify(release),
      JSON.stringify([release.status(), release.decide(request), release.explain(request)]),
    ].join('\n')
    release.close()
    expect(said).not.toContain(SECRET)
  })
})
