import { CanaryError } from '@canary-release/core'
import { type Registry, ViolationError, parseDeclarative } from '@canary-release/core/registry'
import type { RequestBody } from '../bodies/request-body.js'
import type { Operation } from '../operation.js'
import { tooManyFiles } from '../refusal.js'

/** How many files may wait to be read: they are read one after the other, and each may take seconds. */
const MAX_READ = 8

/** Makes all records those of a declarative file, as Kong without a database does. */
export function configOperation(registry: Registry): Operation {
  let reading = 0
  const flag = { type: 'boolean', default: false } as const
  return {
    method: 'POST',
    path: '/config',
    id: 'applyConfiguration',
    summary: 'Creates, replaces and deletes records until they are those of a declarative file, in one change.',
    query: {
      dry_run: { description: 'Says what would change, and changes nothing.', schema: flag },
      skip_unsupported: { description: 'Passes over what is not taken here, instead of refusing it.', schema: flag },
    },
    body: 'Configuration',
    answer: { status: 200, schema: 'SyncReport' },
    errors: [400],
    async run({ body, query, by }) {
      const otherPlugins = isSet(query, 'skip_unsupported') ? 'skip' : 'refuse'
      if (reading >= MAX_READ) throw tooManyFiles()
      reading += 1
      const { skipped, bodies } = await checked(() => parseDeclarative(textOf(body), { otherPlugins })).finally(
        () => (reading -= 1),
      )
      const report = isSet(query, 'dry_run') ? registry.diff({ bodies }) : await registry.sync({ bodies }, by)
      return { status: 200, body: { ...report, skipped } }
    },
  }
}

function isSet(query: URLSearchParams, name: string): boolean {
  const value = query.get(name)
  if (value === null || value === 'false' || value === '0') return false
  if (value === 'true' || value === '1' || value === '') return true
  const message = `${name} must be true or false`
  throw new ViolationError({ code: 11, name: 'invalid options', message, fields: { [name]: message } })
}

/** The file is the body itself, or the text in its field `config`, as forms and Kong's clients send it. */
function textOf(body: RequestBody): string {
  return typeof body.config === 'string' ? body.config : JSON.stringify(body)
}

/** What is wrong in a file is its sender's fault here. */
async function checked<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof CanaryError) || error.code !== 'ERR_CANARY_OPTION') throw error
    const { message } = error
    throw new ViolationError({
      code: 14,
      name: 'invalid declarative configuration',
      message,
      fields: { config: message },
    })
  }
}
