import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { KeepsConnections, Rest, saidKeepAliveMs } from '../../src/proxy/connections/reuse.js'

describe('how long an upstream keeps a connection', () => {
  test.each([
    [['Keep-Alive', 'timeout=5'], 5000],
    [['keep-alive', 'max=100, timeout=72'], 72_000],
    [['KEEP-ALIVE', 'timeout = "3"'], 3000],
    [['Keep-Alive', 'max=100'], 5000],
    [['Keep-Alive', 'notimeout=9'], 5000],
    [['Connection', 'timeout=9'], 5000],
    [[], 5000],
  ])('is read from %j as %d ms', (raw, milliseconds) => {
    expect(saidKeepAliveMs(raw)).toBe(milliseconds)
    expect(saidKeepAliveMs(raw.map((text) => Buffer.from(text)))).toBe(milliseconds)
  })
})

describe('that an upstream keeps its connections', () => {
  test('is not known before it has kept one for 100 ms, or answered on one again', () => {
    const keeps = new KeepsConnections()
    expect(keeps.isKnown(undefined, 5000)).toBe(false)
    expect(keeps.isKnown(1000, 1099)).toBe(false)
    expect(keeps.isKnown(1000, 1100)).toBe(true)
    expect(keeps.isKnown(undefined, 1101)).toBe(true)
    const other = new KeepsConnections()
    other.reused(1000)
    expect(other.isKnown(undefined, 1000)).toBe(true)
  })

  test('is not believed for 10 s after it has closed one within a second of its answer', () => {
    const keeps = new KeepsConnections()
    keeps.reused(0)
    keeps.closed(1000, 2000)
    expect(keeps.isKnown(undefined, 2000)).toBe(true)
    keeps.closed(1000, 1999)
    keeps.reused(5000)
    expect(keeps.isKnown(1999, 11_998)).toBe(false)
    expect(keeps.isKnown(undefined, 11_999)).toBe(false)
    expect(keeps.isKnown(2000, 11_999)).toBe(true)
  })
})

describe('what was given back', () => {
  test('has rested after two turns of the event loop, not after one', async () => {
    const rested: number[] = []
    const rest = new Rest<string>(() => rested.push(rest.size))
    rest.ask()
    rest.add('first')
    await setImmediate()
    rest.add('second')
    expect([rest.takeRested(), rested]).toEqual([undefined, []])
    await setImmediate()
    expect(rested).toEqual([2])
    expect([rest.takeRested(), rest.takeRested()]).toEqual(['first', undefined])
    await setImmediate()
    expect(rest.takeRested()).toBe('second')
  })

  test('has rested for those who ask later as well', async () => {
    const rest = new Rest<string>(() => {})
    rest.add('early')
    await setImmediate()
    await setImmediate()
    rest.ask()
    expect(rest.takeRested()).toBeUndefined()
    await setImmediate()
    await setImmediate()
    expect(rest.takeRested()).toBe('early')
  })

  test('begins its rest again where it was in use meanwhile', async () => {
    const rest = new Rest<string>(() => {})
    rest.ask()
    rest.add('one')
    await setImmediate()
    expect(rest.takeLast()).toBe('one')
    rest.add('one')
    await setImmediate()
    expect(rest.takeRested()).toBeUndefined()
    await setImmediate()
    expect(rest.takeRested()).toBe('one')
  })

  test('is taken out by what it is, and from either end', async () => {
    const rest = new Rest<number>(() => {})
    for (const one of [1, 2, 3, 4, 5]) rest.add(one)
    expect(rest.remove((one) => one % 2 === 0)).toEqual([2, 4])
    expect([rest.first(), rest.takeFirst(), rest.takeLast(), rest.size]).toEqual([1, 1, 5, 1])
    rest.clear()
    expect([rest.size, rest.takeLast()]).toEqual([0, undefined])
  })
})
