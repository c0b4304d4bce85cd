import type { AsyncResource } from 'node:async_hooks'
import { CanaryError } from '../errors.js'
import type { UrlUpstream } from '../upstream.js'
import type { RequestBody } from './body/body.js'
import type { TakenBody } from './body/taken.js'
import type { ForwardCall } from './forward-call.js'
import type { Attempt } from './forwarder.js'
import { mayLackHeaders, requestHeaders } from './request/headers.js'
import { joinPath } from './request/path.js'
import { upgradeHeaders } from './upgrade/request.js'

/** What an attempt has beside its call. */
export interface AttemptPlan {
  readonly upstream: UrlUpstream
  readonly mount: { readonly id: string }
  readonly context: AsyncResource
  readonly endsAt: number | null
  /** Asked for once the head is known to be good. @throws {CanaryError} ERR_CANARY_BODY */
  readonly body: () => RequestBody
}

/**
 * What one attempt sends, checked. Its headers may still be changed by a hook.
 *
 * @throws {CanaryError} ERR_CANARY_REQUEST, ERR_CANARY_BODY, ERR_CANARY_LOOP
 */
export function compileAttempt(call: ForwardCall, plan: AttemptPlan): Attempt & { headers: string[] } {
  const { request, client, upgrade, taken, decision } = call
  const { upstream, mount } = plan
  const { proxy: settings, realIpHeader } = call.transport
  if (request.method === 'CONNECT') throw new CanaryError('ERR_CANARY_REQUEST', 'CONNECT is not forwarded')
  if (mayLackHeaders(request)) {
    throw new CanaryError('ERR_CANARY_REQUEST', 'the request has more headers than Node tells of')
  }
  const path = joinPath(call.path, upstream, settings.path)
  const body = plan.body()
  const peerTrusted = client.peerTrusted()
  const clean = requestHeaders(request, {
    mount: mount.id,
    via: settings.via,
    host: upstream.host,
    preserveHost: settings.preserveHost,
    peerTrusted,
    decisionHeader: settings.decisionHeader,
    realIpHeader,
    dropIdentity: settings.dropHeaders.identity || (!peerTrusted && client.trustConfigured()),
    drops: settings.dropHeaders.drops,
    decision,
    bodyUntouched: body.untouched && (taken?.headers ?? null) === null,
  })
  if (taken !== null) addPayloadHeaders(clean, taken)
  return {
    request,
    response: call.response,
    upstream,
    path,
    headers: upgrade === null ? clean : upgradeHeaders(clean, request, body.present),
    body: body.again,
    stream: taken ?? request,
    hasBody: body.present,
    upgrade,
    settings,
    endsAt: plan.endsAt,
    decision,
    beforeHead: call.beforeHead,
    sink: call.sink,
    mount,
    reports: call.reports,
    context: plan.context,
    waitedMs: 0,
  }
}

/** What a hook's payload says of itself stands where the request's own headers were. */
function addPayloadHeaders(headers: string[], { headers: own }: TakenBody): void {
  for (const [name, value] of Object.entries(own ?? {})) if (value !== undefined) headers.push(name, String(value))
}
