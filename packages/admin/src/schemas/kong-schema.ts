import type { EntityKind } from '@canary-release/core/registry'
import { entitySchemas } from '@canary-release/core/registry/internal'
import type { z } from 'zod'
import { type JsonSchema, inputSchema, itemsOf, typesOf } from './json-schema.js'

/** A field or a record as Kong's schemas have them. */
interface KongField {
  readonly type: string
  readonly [property: string]: unknown
}

const REFERENCES: Readonly<Record<string, EntityKind>> = {
  service: 'services',
  route: 'routes',
  consumer: 'consumers',
  api: 'apis',
}

/** The schema of a kind in Kong's form, made from the one that checks its records. */
export function kongSchemaOf(kind: EntityKind): { readonly fields: readonly object[] } {
  const { shape } = entitySchemas[kind]
  return { fields: fieldsOf(shape) }
}

/** The schema of a canary plugin's configuration. */
export function canaryConfigFields(): KongField & { readonly fields: readonly object[] } {
  const { config } = entitySchemas.plugins.shape
  return { type: 'record', required: true, fields: fieldsOf(config.unwrap().shape) }
}

function fieldsOf(shape: Readonly<Record<string, z.ZodType>>): object[] {
  return Object.entries(shape).map(([name, schema]) => ({ [name]: fieldOf(name, schema) }))
}

function fieldOf(name: string, schema: z.ZodType): KongField {
  if (name === 'config') return canaryConfigFields()
  const without = schema.safeParse(undefined)
  const byDefault: unknown = without.success ? without.data : undefined
  const isSaid = byDefault !== undefined && byDefault !== null
  const reference = REFERENCES[name]
  const type: KongField = reference === undefined ? typeOf(inputSchema(schema)) : { type: 'foreign', reference }
  return {
    ...type,
    ...(isSaid ? { default: byDefault } : {}),
    ...(isSaid || !without.success ? { required: true } : {}),
    ...(name === 'id' ? { uuid: true } : {}),
    ...(name === 'created_at' || name === 'updated_at' ? { timestamp: true, auto: true } : {}),
  }
}

function typeOf(schema: JsonSchema): KongField {
  const types = typesOf(schema)
  const said = restrictionsOf(schema)
  if (types.has('array')) return { type: 'array', elements: typeOf(itemsOf(schema) ?? {}) }
  if (types.has('object')) return { type: 'map', keys: { type: 'string' }, values: typeOf(valuesOf(schema)) }
  const type = ['integer', 'number', 'boolean'].find((each) => types.has(each)) ?? 'string'
  return { type, ...said }
}

function valuesOf(schema: JsonSchema): JsonSchema {
  const found = [schema, ...(schema.anyOf ?? [])].find(
    (each) => typeof each === 'object' && typeof each.additionalProperties === 'object',
  )
  const values = typeof found === 'object' ? found.additionalProperties : undefined
  return typeof values === 'object' ? values : {}
}

function restrictionsOf(schema: JsonSchema): object {
  const parts = [schema, ...(schema.anyOf ?? [])].filter((each) => typeof each === 'object')
  const all: JsonSchema = Object.assign({}, ...parts)
  const { minimum, maximum, enum: values, const: only } = all
  return {
    ...(minimum !== undefined && maximum !== undefined ? { between: [minimum, maximum] } : {}),
    ...(values === undefined ? {} : { one_of: values }),
    ...(only === undefined ? {} : { eq: only }),
  }
}
