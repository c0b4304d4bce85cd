import { CanaryError, apiKeyConsumers } from '@canary-release/core'
import { createRegistry, fileStore, memoryStore } from '@canary-release/core/registry'
import { describe, expect, it } from 'vitest'

const store = memoryStore()

describe('what JavaScript hands over unchecked', () => {
  for (const [options, message] of [
    [undefined, /^registry must be an object, got nothing/],
    [{}, /^registry\.store must be a store: memoryStore\(\), fileStore\(path\) or one of your own, got nothing/],
    [{ store: fileStore }, /^registry\.store must be a store/],
    [
      { store, changeTimeoutMs: 5 },
      /^registry\.changeTimeoutMs must be a whole number of milliseconds, 10 … 60000, got 5/,
    ],
    [{ store, changeTimeoutMs: '2s' }, /^registry\.changeTimeoutMs must be a whole number of milliseconds/],
    [{ store, cache: '' }, /^registry\.cache must be the path of a file/],
    [{ store: { ...store, watch: true } }, /^registry\.store must be a store/],
    [{ store, initial: '_format_version: "3.0"' }, /^registry\.initial must be what parseDeclarative made/],
    [{ store, guard: 'yes' }, /^registry\.guard must be true, false or the options of a guard, got "yes"/],
    [{ store, guard: { tolerence: 2 } }, /^registry\.guard\.tolerence is not an option/],
    [{ store, logger: { log() {} } }, /^registry\.logger must have the functions info, warn and error/],
    [{ store, onEror() {} }, /^registry\.onEror is not an option: did you mean onError\?/],
  ] as const) {
    it(`is refused as options of a registry: ${String(message)}`, async () => {
      const opening = Reflect.apply(createRegistry, null, [options])
      await expect(opening).rejects.toSatisfy(
        (error) => error instanceof CanaryError && error.code === 'ERR_CANARY_OPTION' && message.test(error.message),
      )
    })
  }

  for (const [what, work, message] of [
    ['no path', () => Reflect.apply(fileStore, null, [undefined]), 'fileStore must get the path of a file'],
    ['an empty path', () => fileStore(''), 'fileStore must get the path of a file'],
    ['no keys', () => Reflect.apply(apiKeyConsumers, null, [{ header: 'apikey' }]), 'apiKeyConsumers.keys must be'],
    ['nothing', () => Reflect.apply(apiKeyConsumers, null, []), 'apiKeyConsumers must say the header or the query'],
  ] as const) {
    it(`is refused where it is ${what}`, () => {
      expect(work).toThrow(
        expect.objectContaining({ code: 'ERR_CANARY_OPTION', message: expect.stringContaining(message) }),
      )
    })
  }

  it('is not repeated where it may be a key', () => {
    const work = () => Reflect.apply(apiKeyConsumers, null, [{ header: 'apikey', keys: 's3cr3t' }])
    expect(work).toThrow(expect.objectContaining({ message: expect.not.stringContaining('s3cr3t') }))
  })
})
