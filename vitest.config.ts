import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string) => fileURLToPath(new URL(`packages/${path}`, import.meta.url))

// Where CI wants the results as a file.
const report = process.env['VITEST_JSON_REPORT']

// Tests import the packages by their public names and run on the sources, so that coverage and stack traces speak of them.
export default defineConfig({
  resolve: {
    alias: [
      { find: /^@canary-release\/core\/(registry|guard)\/internal$/, replacement: source('core/src/$1/index.ts') },
      { find: /^@canary-release\/core$/, replacement: source('core/src/entries/index.ts') },
      { find: /^@canary-release\/core\/(.+)$/, replacement: source('core/src/entries/$1.ts') },
      { find: /^@canary-release\/([^/]+)$/, replacement: source('$1/src/index.ts') },
    ],
  },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['**/dist/**', '**/node_modules/**'],
    pool: 'forks',
    // Much of the time tests wait, for limits and for servers: two cores are enough for two of them.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    coverage: {
      provider: 'v8',
      include: ['packages/*/src/**/*.ts'],
      reporter: ['text', 'json-summary'],
    },
  },
})
