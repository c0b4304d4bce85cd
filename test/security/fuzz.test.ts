import { describe, expect, test } from 'vitest'
import { fuzz } from '../../bench/fuzz/fuzz.js'
import { FUZZED } from '../../bench/fuzz/gateways.js'

// The short form of bench/fuzz: the same pipelines each time. An uncaught error fails the run.
describe('damaged requests and pipelines', () => {
  for (const gateway of FUZZED) {
    test(`leave ${gateway} with one well-framed request for each decision, answers in order and no open connection`, async () => {
      const { pipelines, requests, faults } = await fuzz({ gateway, seed: 1, pipelines: 8000, connections: 16 })
      expect(faults).toEqual([])
      expect(pipelines).toBe(8000)
      expect(requests).toBeGreaterThan(1000)
    }, 120_000)
  }
})
