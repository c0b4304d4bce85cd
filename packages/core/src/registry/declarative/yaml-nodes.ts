import { type Node, type Pair, type YAMLMap, isAlias, isCollection, isMap, isNode, isPair, isScalar, isSeq } from 'yaml'

import type { Path } from './declarative-fault.js'

interface NodeFault {
  readonly offset: number
  readonly reason: string
}

const MAX_DEPTH = 100
const MAX_ALIASES = 1000
/** How many values aliases may stand for, beyond ten for each value that is written. */
const EXPANDED = 5000

/**
 * What a document's nodes must not be: nested without end, maps that say a key twice, or a bomb of aliases. The library
 * has limits of its own, but compares each key with all others, and refuses a hundred uses of one small anchor.
 */
export function nodeFault(root: Node | null): NodeFault | null {
  const walk = new NodeWalk()
  try {
    const size = walk.sizeOf(root, 0)
    if (walk.aliases > MAX_ALIASES) return { offset: 0, reason: `more than ${MAX_ALIASES} aliases` }
    if (size <= EXPANDED + 10 * walk.written) return null
    return { offset: 0, reason: 'its aliases stand for too many values' }
  } catch (error) {
    if (error instanceof FaultFound) return error.fault
    throw error
  }
}

class FaultFound extends Error {
  readonly fault: NodeFault

  constructor(node: unknown, reason: string) {
    super(reason)
    this.fault = { offset: isNode(node) && node.range ? node.range[0] : 0, reason }
  }
}

class NodeWalk {
  written = 0
  aliases = 0
  /** How many values an anchor stands for; endless while it is still being read. */
  readonly #anchors = new Map<string, number>()

  /** How many values a node stands for. */
  sizeOf(node: unknown, depth: number): number {
    this.written += 1
    if (depth > MAX_DEPTH) throw new FaultFound(node, `nested deeper than ${MAX_DEPTH} levels`)
    if (isAlias(node)) {
      this.aliases += 1
      const size = this.#anchors.get(node.source) ?? 1
      if (size === Infinity) throw new FaultFound(node, 'an alias within what it stands for')
      return size
    }
    if (!isCollection(node)) {
      if (isScalar(node) && node.anchor !== undefined) this.#anchors.set(node.anchor, 1)
      return 1
    }
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, Infinity)
    if (isMap(node)) checkKeys(node)
    let size = 1
    for (const item of node.items) size += isPair(item) ? this.#pair(item, depth) : this.sizeOf(item, depth + 1)
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, size)
    return size
  }

  #pair({ key, value }: Pair, depth: number): number {
    return this.sizeOf(key, depth + 1) + this.sizeOf(value, depth + 1)
  }
}

function checkKeys({ items }: YAMLMap): void {
  const seen = new Set<unknown>()
  for (const { key } of items) {
    const name: unknown = isScalar(key) ? String(key.value) : undefined
    // A map may take in several others.
    if (name === undefined || name === '<<') continue
    if (seen.has(name)) throw new FaultFound(key, `${String(name).slice(0, 100)}: the keys of a map must be unique`)
    seen.add(name)
  }
}

/**
 * Finds where what is at a path begins, or the nearest place above it. The library's own search looks at each key of a
 * map every time.
 */
export function createNodeFinder(root: Node | null): (path: Path) => number {
  const maps = new Map<YAMLMap, ReadonlyMap<string, unknown>>()
  const inner = (node: unknown, step: string | number): unknown => {
    if (isSeq(node)) return typeof step === 'number' ? node.items[step] : undefined
    if (!isMap(node)) return undefined
    const known = maps.get(node) ?? valuesOf(node)
    maps.set(node, known)
    return known.get(String(step))
  }
  return (path) => {
    let offset = root?.range?.[0] ?? 0
    let at: unknown = root
    for (const step of path) {
      at = inner(at, step)
      if (!isNode(at)) break
      offset = at.range?.[0] ?? offset
    }
    return offset
  }
}

function valuesOf({ items }: YAMLMap): ReadonlyMap<string, unknown> {
  return new Map(items.map(({ key, value }) => [isScalar(key) ? String(key.value) : '', value]))
}
