import type { EntityKind } from '@canary-release/core/registry'
import { ENTITY_KINDS, validateEntity } from '@canary-release/core/registry/internal'
import { canaryConfigFields, kongSchemaOf } from '../schemas/kong-schema.js'
import type { Operation } from '../operation.js'
import { notFound } from '../refusal.js'

/** The schemas of records in Kong's form, and bodies held against them. */
export function schemaOperations(): Operation[] {
  return [
    validateOperation('/schemas/plugins/validate', 'validatePlugin', () => 'plugins'),
    {
      method: 'GET',
      path: '/schemas/plugins/{name}',
      id: 'getPluginSchema',
      summary: 'Shows the schema of a plugin: of `canary`, which is the only one.',
      answer: { status: 200, schema: 'KongSchema' },
      errors: [404],
      run({ params }) {
        if (params.name !== 'canary') throw notFound()
        return { status: 200, body: kongSchemaOf('plugins') }
      },
    },
    {
      method: 'GET',
      path: '/plugins/schema/{name}',
      id: 'getPluginConfigSchema',
      summary: "Shows the schema of a plugin's configuration, as older clients ask for it.",
      answer: { status: 200, schema: 'KongSchema' },
      errors: [404],
      run({ params }) {
        if (params.name !== 'canary') throw notFound()
        return { status: 200, body: canaryConfigFields() }
      },
    },
    {
      method: 'GET',
      path: '/schemas/{kind}',
      id: 'getSchema',
      summary: 'Shows the schema of a kind of records: `services`, `plugins` …',
      answer: { status: 200, schema: 'KongSchema' },
      errors: [404],
      run: ({ params }) => ({ status: 200, body: kongSchemaOf(kindOf(params.kind)) }),
    },
    validateOperation('/schemas/{kind}/validate', 'validateRecord', ({ kind }) => kindOf(kind)),
  ]
}

function validateOperation(
  path: string,
  id: string,
  kindOfPath: (params: Readonly<Record<string, string>>) => EntityKind,
): Operation {
  return {
    method: 'POST',
    path,
    id,
    summary: 'Says whether a body would be taken, as far as that does not depend on other records.',
    body: 'Candidate',
    answer: { status: 200, schema: 'Valid' },
    errors: [400, 404],
    run({ params, body }) {
      validateEntity(kindOfPath(params), body)
      return { status: 200, body: { message: 'schema validation successful' } }
    },
  }
}

/** @throws {Refusal} 404 */
function kindOf(name: string | undefined): EntityKind {
  const kind = ENTITY_KINDS.find((each) => each === name)
  if (kind === undefined) throw notFound()
  return kind
}
