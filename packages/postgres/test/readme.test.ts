import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { requireBinary } from '../../../test/servers/requirement.js'
import { whatIsOpened } from './opened.js'

const describeWithPostgres = requireBinary('postgres')
const { keep, server } = whatIsOpened()
const here = fileURLToPath(new URL('.', import.meta.url))
const readme = readFileSync(join(here, '..', 'README.md'), 'utf8')

describeWithPostgres('the README of @canary-release/postgres', () => {
  test('has an example that runs', async () => {
    const postgres = await server()
    const [, code = ''] = /```js\n([\s\S]*?)```/.exec(readme) ?? []
    const folder = mkdtempSync(join(here, '.readme-'))
    keep({ [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true }) })
    const file = join(folder, 'example.mjs')
    writeFileSync(file, code.replace('postgres://postgres@localhost:5432/postgres', postgres.url))
    const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    child.stdout.on('data', (chunk) => (said += String(chunk)))
    child.stderr.on('data', (chunk) => (said += String(chunk)))
    const [exit] = await once(child, 'close')
    expect([exit, said]).toEqual([0, '1\n'])
  })
})
