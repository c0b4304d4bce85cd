// Puts undici 8 in the place of 7: `node --import ./scripts/undici-8.js PROGRAM`, for tests on Node 22.19 and newer.
import { createRequire, registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'

const core = createRequire(new URL('../packages/core/package.json', import.meta.url))
const seven = pathToFileURL(core.resolve('undici')).href
const eight = pathToFileURL(core.resolve('undici-8')).href

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context)
    return resolved.url === seven ? { ...resolved, url: eight } : resolved
  },
})
