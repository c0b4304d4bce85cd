import { z } from 'zod'
import {
  auditSchema,
  canarySchema,
  explanationSchema,
  guardSchema,
  informationSchema,
  membersSchema,
  moveSchema,
  restartSchema,
} from './canary-schemas.js'
import { configurationSchema, syncReportSchema } from './config-schemas.js'
import { entityComponents, pageSchema } from './entity-schemas.js'
import { inputSchema, outputSchema } from './json-schema.js'
import {
  candidateSchema,
  emptyPageSchema,
  enabledPluginsSchema,
  kongSchemaSchema,
  positionSchema,
  statusSchema,
  tagSchema,
  validSchema,
} from './kong-schemas.js'

const messageSchema = z.strictObject({
  message: z.string(),
  name: z.string().optional(),
  /** Of a change that may have been made: what the audit trail has of it then. */
  commit: z.string().optional(),
})

/** Kong's error of a body, and the plain one. */
const errorSchema = z.union([
  z.strictObject({
    code: z.int(),
    name: z.string(),
    message: z.string(),
    fields: z.looseObject({}),
  }),
  messageSchema,
])

/** All schemas of the API by their names in `/openapi.json`, made from those that check the records. */
export const SCHEMAS = {
  ...entityComponents(),
  Canary: outputSchema(canarySchema),
  CanaryPage: pageSchema('Canary'),
  Explanation: outputSchema(explanationSchema),
  Guard: outputSchema(guardSchema),
  Move: inputSchema(moveSchema),
  Restart: inputSchema(restartSchema),
  Configuration: inputSchema(configurationSchema),
  SyncReport: outputSchema(syncReportSchema),
  Audit: outputSchema(auditSchema),
  Members: outputSchema(membersSchema),
  Information: outputSchema(informationSchema),
  Status: outputSchema(statusSchema),
  Position: inputSchema(positionSchema),
  EnabledPlugins: outputSchema(enabledPluginsSchema),
  Tag: outputSchema(tagSchema),
  TagPage: pageSchema('Tag'),
  EmptyPage: outputSchema(emptyPageSchema),
  KongSchema: outputSchema(kongSchemaSchema),
  Candidate: inputSchema(candidateSchema),
  Valid: outputSchema(validSchema),
  Document: outputSchema(z.looseObject({ openapi: z.string(), paths: z.looseObject({}) })),
  ServiceOrApi: { anyOf: [{ $ref: '#/components/schemas/Service' }, { $ref: '#/components/schemas/Api' }] },
  Error: outputSchema(errorSchema),
}

export type SchemaName = keyof typeof SCHEMAS
