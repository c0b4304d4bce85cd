import type { Decision } from '../decision/decision.js'
import { CanaryError } from '../errors.js'
import type { ForwardedRelease } from '../proxy/forward-call.js'
import { createProxy } from '../proxy/proxy.js'
import { giveBackBody, takeBody } from '../proxy/body/take.js'
import { type PathRule, checkSegments, joinPath } from '../proxy/request/path.js'
import { optionError, parseOptions } from '../option-error.js'
import type { AnyHandler } from '../release/options.js'
import { type ResolvedMountOptions, mountOptionsSchema } from '../release/options-schema.js'
import { Release } from '../release/release.js'
import type { UrlUpstream } from '../upstream.js'
import { RequestFacts, type RequestReading } from '../request/request-facts.js'
import { type DecisionHeaders, compileDecisionHeaders } from './decision-headers.js'
import { createForwardedOf } from './forwarded.js'
import type { Framework } from './framework.js'
import { addDecision, findDecision } from './request-decisions.js'
import { compileReading } from './reading.js'
import { type ForwardHooks, Routed } from './routed.js'
import { type CanarySource, type Find, type InForce, findInRegistry, findRelease, isRegistrySource } from './source.js'
import { rememberAnswer } from './upgrades/open-answers.js'

/** A place of an application where a canary stands. */
export interface Mount<Context, Request, Handler> {
  /**
   * Decides a request, once for each release however often it comes by, and says what to do with it.
   *
   * @throws {CanaryError} ERR_CANARY_SERVICE, ERR_CANARY_REQUEST (in rewrite mode)
   */
  route(context: Context): Routed<Context, Request, Handler>
  forward(routed: Routed<Context, Request, Handler>, hooks: ForwardHooks<Handler>): void
  /** The release, where the mount has one of its own; `null` on a registry. */
  readonly release: Release | null
  /**
   * Lets running requests end within `graceMs` and closes what was opened. A release that was given whole stays open.
   *
   * @default 10000
   */
  close(graceMs?: number): Promise<void>
}

/** What follows from a mount's options, compiled again where a release in code changes them. */
interface Compiled<Context> {
  readonly options: object
  readonly mount: ResolvedMountOptions
  readonly reading: RequestReading<Context>
}

/**
 * Makes a mount for a framework.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION
 */
export function createMount<Context, Request, Handler extends AnyHandler>(
  source: CanarySource<Request, Handler>,
  framework: Framework<Context, Request>,
): Mount<Context, Request, Handler> {
  if (typeof source !== 'object' || source === null) {
    throw optionError('canary', 'must get a release, the options of one, or { registry, … }', source)
  }
  const proxy = createProxy()
  const { find, release, owned, mountOptions } = resolveSource(source)
  let compiled: Compiled<Context> = compile()
  const forwardedOf = release === null ? createForwardedOf(compiled.mount, compiled.reading.report) : null
  const headersOf = new WeakMap<object, DecisionHeaders>()
  const watch = () => {
    if (release !== null) proxy.watch(release)
  }
  watch()
  release?.on('change', watch)

  function compile(): Compiled<Context> {
    const mount = mountOptions()
    return { options: mount, mount, reading: compileReading(framework, mount, release) }
  }

  function present(): Compiled<Context> {
    if (release !== null && release.options !== compiled.options) compiled = compile()
    return compiled
  }

  function decisionHeaders({ plan, A }: InForce, { exposeHeader }: ResolvedMountOptions): DecisionHeaders {
    const key = plan ?? A
    const known = headersOf.get(key)
    if (known !== undefined && known.exposeHeader === exposeHeader) return known
    const made = compileDecisionHeaders(exposeHeader, plan)
    headersOf.set(key, made)
    return made
  }

  function decideBy(context: Context, facts: RequestFacts<Context>, inForce: InForce) {
    const raw = framework.raw(context)
    const key = inForce.release ?? proxy
    const known = findDecision(raw, key)
    if (known !== undefined) return { remembered: known, first: false }
    const decision =
      inForce.release === null || inForce.plan === null
        ? withoutRelease(inForce)
        : inForce.release.decideBy(facts, inForce.plan)
    framework.decided(context, decision)
    return { remembered: addDecision(raw, decision, inForce.release, key), first: true }
  }

  function look(context: Context) {
    rememberAnswer(framework.raw(context), framework.response(context))
    const { reading, mount } = present()
    const facts = new RequestFacts(context, framework.raw(context), reading)
    const inForce = find(() => facts.caller())
    facts.known = inForce.consumer
    return { mount, facts, inForce, ...decideBy(context, facts, inForce) }
  }

  function route(context: Context): Routed<Context, Request, Handler> {
    const { mount, facts, inForce, remembered, first } = look(context)
    const upstream = remembered.decision.upstream === 'B' && inForce.B !== null ? inForce.B : inForce.A
    const action = upstream.kind === 'handler' ? 'handle' : mount.mode === 'rewrite' ? 'next' : 'forward'
    if (action === 'next' && first && upstream.kind === 'url') rewrite(context, upstream, mount.proxy.path)
    if (action === 'forward') takeBody(framework.raw(context), framework.response(context))
    else handBody(context)
    return new Routed(action, context, framework, remembered, inForce, decisionHeaders(inForce, mount), facts)
  }

  /** What comes next forwards it: the path must be as good as one that is forwarded here. */
  function rewrite(context: Context, upstream: UrlUpstream, rule: PathRule): void {
    const path = framework.path(context)
    if (upstream.basePath === '' && upstream.fixedPath === null) checkSegments(path, rule)
    else framework.rewrite(context, joinPath(path, upstream, rule))
  }

  /** Only Fastify's bodies are taken before the decision. */
  function handBody(context: Context): void {
    const body = giveBackBody(framework.raw(context))
    if (body !== null) framework.giveBody?.(context, body)
  }

  function forward(routed: Routed<Context, Request, Handler>, hooks: ForwardHooks<Handler>): void {
    const forwarded: ForwardedRelease | null = release ?? forwardedOf?.(routed.inForce) ?? null
    if (forwarded === null) return hooks.done(new CanaryError('ERR_CANARY_SERVICE', 'no upstream is known'))
    if (release === null) proxy.watch(forwarded)
    routed.forward(proxy, forwarded, hooks)
  }

  return {
    route,
    forward,
    release,
    close: async (graceMs) => {
      release?.off('change', watch)
      if (owned) release?.close()
      await proxy.close(graceMs)
    },
  }
}

interface ResolvedSource {
  readonly find: Find
  readonly release: Release | null
  /** The release was made here, and ends here. */
  readonly owned: boolean
  readonly mountOptions: () => ResolvedMountOptions
}

function resolveSource<Request, Handler extends AnyHandler>(source: CanarySource<Request, Handler>): ResolvedSource {
  if (isRegistrySource(source)) {
    const { registry, service, route, api, ...rest } = source
    if (service === undefined && route === undefined && api === undefined) {
      throw optionError('registry', 'must come with a service, route or api that says what is mounted', undefined)
    }
    const options = parseOptions(mountOptionsSchema, rest)
    return {
      find: findInRegistry(registry.mount({ service, route, api })),
      release: null,
      owned: false,
      mountOptions: () => options,
    }
  }
  const owned = !(source instanceof Release)
  const release = owned ? new Release(source) : source
  return { find: findRelease(release), release, owned, mountOptions: () => release.options }
}

/** Where no release is in force: everything to A. */
function withoutRelease({ A }: InForce): Decision {
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
