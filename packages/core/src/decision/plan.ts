import { compileSalt } from './bucket.js'
import type { HashPrefix } from './murmur3.js'

/** What an identity is. */
export type Hash =
  | 'consumer'
  | 'ip'
  | 'none'
  | { readonly header: string }
  /** With `secrets` ids are signed: the first secret signs, all verify, and an id that nobody signed is replaced. */
  | { readonly cookie: string; readonly secrets?: readonly string[] | undefined }
  | { readonly allow: readonly string[] }
  | { readonly deny: readonly string[] }

/** Makes ids of a cookie that nobody else can make. */
export interface IdSeal {
  /** What the cookie of an id says. */
  readonly sign: (id: string) => string
  /** The id of a cookie; `''` where it is none of ours. */
  readonly idOf: (value: string) => string
}

/** A {@link Hash}, compiled. */
export type HashRule =
  | { readonly by: 'consumer' | 'ip' | 'none' }
  /** `name` is in lower case. */
  | { readonly by: 'header'; readonly name: string }
  | { readonly by: 'cookie'; readonly name: string; readonly seal: IdSeal | null }
  | { readonly by: 'allow' | 'deny'; readonly groups: ReadonlySet<string> }

/** What a release decides by: compiled when it is built or updated, read for each request. */
export interface Plan {
  readonly release: string
  readonly steps: number
  readonly salt: HashPrefix
  readonly hash: HashRule
  /** In lower case; `null` where there is none. */
  readonly overrideHeader: string | null
  readonly overrideCookie: string | null
  readonly ipv6Prefix: number
  readonly originA: string | null
  readonly originB: string | null
}

/** The settings that a {@link Plan} is compiled from. */
export interface PlanSettings {
  readonly name: string
  readonly salt: string
  readonly steps: number
  readonly hash: Hash
  /** For a cookie with `secrets`. @default none */
  readonly seal?: IdSeal | null | undefined
  readonly override: { readonly header?: string | undefined; readonly cookie?: string | undefined }
  readonly ipv6Prefix: number
}

export function compilePlan(settings: PlanSettings, originA: string | null, originB: string | null): Plan {
  return {
    release: settings.name,
    steps: settings.steps,
    salt: compileSalt(settings.salt),
    hash: compileHash(settings.hash, settings.seal ?? null),
    overrideHeader: settings.override.header?.toLowerCase() ?? null,
    overrideCookie: settings.override.cookie ?? null,
    ipv6Prefix: settings.ipv6Prefix,
    originA,
    originB,
  }
}

function compileHash(hash: Hash, seal: IdSeal | null): HashRule {
  if (typeof hash === 'string') return { by: hash }
  if ('header' in hash) return { by: 'header', name: hash.header.toLowerCase() }
  if ('cookie' in hash) return { by: 'cookie', name: hash.cookie, seal }
  if ('allow' in hash) return { by: 'allow', groups: new Set(hash.allow) }
  return { by: 'deny', groups: new Set(hash.deny) }
}

/** Whether requests of one identity stay together, so that they are not independent of each other. */
export function isSticky(hash: Hash): boolean {
  return hash !== 'none'
}

/** Whether groups say which side a request is for, and not chance. */
export function isChosen(hash: Hash): boolean {
  return typeof hash === 'object' && ('allow' in hash || 'deny' in hash)
}
