import { z } from 'zod'

/** A JSON Schema of draft 2020-12, as OpenAPI 3.1 has them. */
export type JsonSchema = z.core.JSONSchema.JSONSchema

/** The schema of what a zod schema gives out. */
export function outputSchema(schema: z.ZodType): JsonSchema {
  return withoutDialect(
    z.toJSONSchema(schema, {
      io: 'output',
      unrepresentable: 'any',
      // A field with a default is a transform of its type or null, which JSON Schema cannot say: its type is what is left.
      override({ zodSchema, jsonSchema }) {
        withoutOwnFormat(jsonSchema)
        if (zodSchema instanceof z.ZodPipe) Object.assign(jsonSchema, outputSchema(given(zodSchema.in)))
      },
    }),
  )
}

/** The schema of what a zod schema takes. */
export function inputSchema(schema: z.ZodType): JsonSchema {
  return withoutDialect(
    z.toJSONSchema(schema, {
      io: 'input',
      unrepresentable: 'any',
      override: ({ jsonSchema }) => withoutOwnFormat(jsonSchema),
    }),
  )
}

/** zod has formats that JSON Schema does not know; their pattern says all. */
function withoutOwnFormat(schema: JsonSchema): void {
  if (schema.pattern !== undefined) delete schema.format
}

function given(schema: z.core.$ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return given(schema.unwrap())
  return schema instanceof z.ZodType ? schema : z.unknown()
}

function withoutDialect(schema: JsonSchema): JsonSchema {
  const { $schema: _, ...rest } = schema
  return rest
}

/** A schema and those that stand beside it in its `anyOf`. */
function* branches(schema: JsonSchema | undefined): Iterable<JsonSchema> {
  if (schema === undefined) return
  yield schema
  for (const branch of schema.anyOf ?? []) if (typeof branch === 'object') yield* branches(branch)
}

/** The JSON types that a schema takes. */
export function typesOf(schema: JsonSchema | undefined): ReadonlySet<string> {
  const types = new Set<string>()
  for (const { type } of branches(schema)) for (const name of [type ?? []].flat()) types.add(name)
  return types
}

/** Whether a schema takes a list, or null, and nothing else. */
export function allowsOnlyLists(schema: JsonSchema | undefined): boolean {
  const types = typesOf(schema)
  return types.has('array') && [...types].every((type) => type === 'array' || type === 'null')
}

/** The schema of a record's field. */
export function propertyOf(schema: JsonSchema | undefined, name: string): JsonSchema | undefined {
  for (const { properties = {}, additionalProperties } of branches(schema)) {
    const property = Object.hasOwn(properties, name) ? properties[name] : additionalProperties
    if (typeof property === 'object') return property
  }
  return undefined
}

/** The schema of a list's elements. */
export function itemsOf(schema: JsonSchema | undefined): JsonSchema | undefined {
  for (const { items } of branches(schema)) if (typeof items === 'object' && !Array.isArray(items)) return items
  return undefined
}
