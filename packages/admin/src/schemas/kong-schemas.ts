import { z } from 'zod'

/** A point in the history of a store. */
export const positionSchema = z.strictObject({
  epoch: z.string().max(200),
  version: z.int().min(0),
  id: z.string().max(200),
})

/** What Kong's clients ask for beside records. */
export const statusSchema = z.strictObject({
  database: z.strictObject({ reachable: z.boolean() }),
  store: z.strictObject({
    connected: z.boolean(),
    since: z.number().nullable(),
    stale: z.boolean(),
    rewound: z.strictObject({ known: positionSchema, stored: positionSchema }).nullable(),
    position: positionSchema,
  }),
  server: z.strictObject({ total_requests: z.int().min(0) }),
  memory: z.strictObject({ process_rss: z.string() }),
})

export const enabledPluginsSchema = z.strictObject({ enabled_plugins: z.array(z.string()) })

export const tagSchema = z.strictObject({ tag: z.string(), entity_name: z.string(), entity_id: z.string() })

export const emptyPageSchema = z.strictObject({ data: z.array(z.never()).max(0), next: z.null() })

/** A schema as Kong writes them: each field is a record of one name. */
export const kongSchemaSchema = z.looseObject({ fields: z.array(z.record(z.string(), z.looseObject({}))) })

export const validSchema = z.strictObject({ message: z.literal('schema validation successful') })

/** What is sent to be validated: anything, as it is what may be wrong. */
export const candidateSchema = z.looseObject({})
