import { z } from 'zod'

/** A declarative file as a body: itself, or as text. */
export const configurationSchema = z.looseObject({
  /** YAML or JSON. */
  config: z.string().optional(),
  _format_version: z.string().optional(),
})

const recordFields = { kind: z.string(), id: z.string(), name: z.string().nullable() }

export const syncReportSchema = z.strictObject({
  created: z.array(z.strictObject(recordFields)),
  updated: z.array(z.strictObject({ ...recordFields, fields: z.array(z.string()) })),
  deleted: z.array(z.strictObject(recordFields)),
  unchanged: z.int().min(0),
  skipped: z.array(z.strictObject({ line: z.int().min(1), path: z.string(), reason: z.string() })),
})
