import { z } from 'zod'
import { aFunction, guardSchema, hasFunctions, loggerSchema } from '../release/options-schema.js'
import type { Declarative } from './declarative.js'
import type { Store } from './store.js'

const isStore = (value: unknown): value is Store => hasFunctions(value, ['load', 'save', 'watch', 'close'])
const isDeclarative = (value: unknown): value is Declarative =>
  typeof value === 'object' && value !== null && 'bodies' in value && Array.isArray(value.bodies)

export const registryOptionsSchema = z.strictObject({
  store: z.custom<Store>(isStore, { error: 'must be a store: memoryStore(), fileStore(path) or one of your own' }),
  initial: z.custom<Declarative>(isDeclarative, { error: 'must be what parseDeclarative made' }).optional(),
  guard: guardSchema,
  logger: loggerSchema.default(() => console),
  onError: aFunction<(error: unknown) => void>().optional(),
  clock: aFunction<() => number>().default(() => Date.now),
  random: aFunction<() => number>().optional(),
})
