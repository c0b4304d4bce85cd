import type { Decision } from '../decision/decision.js'
import type { RawRequest } from '../node-http.js'
import { optionError, parseOptions } from '../option-error.js'
import type { Place } from '../place.js'
import { giveBackBody, takeBody } from '../proxy/body/take.js'
import { type Proxy, createProxy } from '../proxy/proxy.js'
import { type PathRule, checkSegments, joinPath } from '../proxy/request/path.js'
import { mountOn } from '../registry/registry.js'
import type { AnyHandler, ReleaseOptions } from '../release/options.js'
import { type ResolvedMountOptions, mountOptionsSchema } from '../release/options-schema.js'
import type { Release as PublicRelease } from '../release/release-interface.js'
import { Release } from '../release/release.js'
import { Reports } from '../release/reports.js'
import { RequestFacts } from '../request/request-facts.js'
import type { Upstream, UrlUpstream } from '../upstream.js'
import { DecisionHeaders } from './decision-headers.js'
import type { Framework } from './framework.js'
import { isRelease, releaseOf } from './given-release.js'
import { type DecisionEntry, findDecision, addDecision } from './request-decisions.js'
import { compileReading } from './reading.js'
import { type FindPlace, type MountTerms, type Routed, RoutedRequest } from './routed.js'
import { type CanarySource, type RegistrySource, isRegistrySource } from './source.js'
import { rememberAnswer } from './upgrades/open-answers.js'

/** A place of an application where a canary stands. */
export interface Mount<Context, Handler> {
  /**
   * Decides a request, once for each release however often it comes by, and says what to do with it.
   *
   * @throws {CanaryError} ERR_CANARY_SERVICE, ERR_CANARY_REQUEST (in rewrite mode)
   */
  route(context: Context): Routed<Handler>
  /** The release, where the mount has one of its own; `null` on a registry. */
  readonly release: PublicRelease | null
  /**
   * Lets running requests end within `graceMs` and closes what was opened. A release that was given whole stays open.
   *
   * @default 10000
   */
  close(graceMs?: number): Promise<void>
}

/** What an application may ask and tell a mount. */
export interface MountHandle {
  /** The release that decides; `null` on a registry. */
  readonly release: PublicRelease | null
  /**
   * Lets running requests end within `graceMs`, and closes connections. A release that was given whole stays open.
   *
   * @param graceMs milliseconds. Default: 10000
   */
  readonly close: (graceMs?: number) => Promise<void>
  /** `close()`, for `await using`. */
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/**
 * Makes a mount for a framework.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function createMount<Context, Request, Handler extends AnyHandler>(
  source: CanarySource<Request, Handler>,
  framework: Framework<Context, Request>,
): Mount<Context, Handler> {
  if (typeof source !== 'object' || source === null) {
    throw optionError('canary', 'must get a release, the options of one, or { registry, … }', source)
  }
  const proxy = createProxy()
  const { release, owned, options, findFor } = resolveSource(source)
  let terms = compile()
  const unwatch = release?.on('change', present)

  function compile(): MountTerms<Context, Request> {
    const transport = options()
    const reports = release?.reports ?? new Reports(transport)
    return {
      framework,
      proxy,
      transport,
      reports,
      reading: compileReading(framework, transport, reports),
      find: findFor(proxy, transport),
      headers: new DecisionHeaders(transport.exposeHeader),
    }
  }

  /** The terms of now: a release in code has new options after each change. */
  function present(): MountTerms<Context, Request> {
    if (release !== null && release.options !== terms.transport) terms = compile()
    return terms
  }

  /** Where no release is in force, the decision is the mount's. */
  function decide(context: Context, raw: RawRequest, place: Place, facts: RequestFacts<Context>): DecisionEntry {
    const { release } = place
    const decision = release === null ? withoutRelease(place.A) : release.decideBy(facts, place.plan)
    framework.decided(context, decision)
    return addDecision(raw, decision, release, release ?? proxy)
  }

  function route(context: Context): Routed<Handler> {
    const terms = present()
    const raw = framework.raw(context)
    const response = framework.response(context)
    rememberAnswer(raw, response)
    const facts = new RequestFacts(context, raw, terms.reading)
    const place = terms.find(facts)
    const known = findDecision(raw, place.release ?? proxy)
    const entry = known ?? decide(context, raw, place, facts)
    const routed = new RoutedRequest<Context, Request, Handler>(terms, context, raw, response, facts, place, entry)
    if (routed.action === 'forward') takeBody(raw, response)
    else {
      if (routed.action === 'next' && known === undefined) rewrite(context, routed.upstream, terms.transport.proxy.path)
      handBody(context, raw)
    }
    return routed
  }

  /** What comes next forwards it: the path must be as good as one that is forwarded here. */
  function rewrite(context: Context, upstream: UrlUpstream, rule: PathRule): void {
    const path = framework.path(context)
    if (upstream.basePath === '' && upstream.fixedPath === null) checkSegments(path, rule)
    else framework.rewrite(context, joinPath(path, upstream, rule))
  }

  /** Only Fastify's bodies are taken before the decision. */
  function handBody(context: Context, raw: RawRequest): void {
    const body = giveBackBody(raw)
    if (body !== null) framework.giveBody?.(context, body)
  }

  return {
    route,
    release,
    close: async (graceMs) => {
      unwatch?.()
      if (owned) release?.close()
      await proxy.close(graceMs)
    },
  }
}

/** What an adapter returns: its function, with what an application may ask and tell its mount. */
export function handlerWith<Handle extends object>(
  handle: Handle,
  { release, close }: Pick<Mount<never, never>, 'release' | 'close'>,
): Handle & MountHandle {
  return Object.assign(handle, { release, close, [Symbol.asyncDispose]: () => close() })
}

interface ResolvedSource {
  readonly release: Release | null
  /** The release was made here, and ends here. */
  readonly owned: boolean
  readonly options: () => ResolvedMountOptions
  readonly findFor: (proxy: Proxy, options: ResolvedMountOptions) => FindPlace
}

function resolveSource<Request, Handler extends AnyHandler>(source: CanarySource<Request, Handler>): ResolvedSource {
  return isRegistrySource(source) ? resolveRegistry(source) : resolveRelease(source)
}

function resolveRelease(source: PublicRelease | ReleaseOptions): ResolvedSource {
  const owned = !isRelease(source)
  const release = owned ? new Release(source) : releaseOf(source)
  const findFor = (proxy: Proxy, { health }: ResolvedMountOptions): FindPlace => {
    const { upstreams, plan, upstreamFallback } = release.options
    if (upstreams === null)
      throw optionError('canary', 'must not get a release of a registry: mount the registry', undefined)
    const place = { A: upstreams.A, B: upstreams.B, plan, upstreamFallback, release }
    // A change of its options begins or ends its health checks.
    proxy.watch(place, health)
    return () => place
  }
  return { release, owned, options: () => release.options, findFor }
}

function resolveRegistry<Request>(source: RegistrySource<Request>): ResolvedSource {
  const { registry, service, route, api, ...rest } = source
  if (service === undefined && route === undefined && api === undefined) {
    throw optionError('registry', 'must come with a service, route or api that says what is mounted', undefined)
  }
  const options = parseOptions(mountOptionsSchema, rest)
  const mount = mountOn(registry, { service, route, api })
  const findFor = (proxy: Proxy, { health }: ResolvedMountOptions): FindPlace => {
    return (facts) => {
      const { place, consumer } = mount.find(facts.caller())
      facts.known = consumer
      if (health !== null) proxy.watch(place, health)
      return place
    }
  }
  return { release: null, owned: false, options: () => options, findFor }
}

function withoutRelease(A: Upstream): Decision {
  return {
    upstream: 'A',
    reason: 'no-release',
    hashedBy: null,
    bucket: null,
    bucketsOnB: 0,
    steps: 0,
    release: '',
    origin: A.kind === 'url' ? A.origin : null,
  }
}
