import { readCookie } from '../decision/cookies.js'
import type { Facts } from '../decision/facts.js'
import { canonicalIp } from '../decision/ip-address.js'
import { meantText } from '../decision/wire-text.js'
import { disown, isPromise } from '../hook.js'
import type { RawRequest } from '../node-http.js'
import { clientBehind } from './client-ip.js'
import { CONSUMER_NAMES, consumerOfUser, consumerText, groupList, groupsOfUser, isSomebody } from './consumer.js'
import { saysHttps } from './forwarded-proto.js'
import { headerText } from './header-text.js'
import type { Trust } from './trust.js'

/** How the requests of a mount are read: its options, compiled. */
export interface RequestReading<Context> {
  readonly consumer: ((context: Context) => unknown) | null
  readonly groups: ((context: Context) => unknown) | null
  readonly user: (context: Context) => unknown
  /** Whether it was said who is trusted, be it nobody. */
  readonly trustConfigured: (context: Context) => boolean
  /** Which peers are trusted; asked for each request, as a framework may keep it on the application. */
  readonly trust: (context: Context) => Trust
  readonly address: ((context: Context) => { readonly ip: string; readonly peerTrusted: boolean }) | null
  readonly realIpHeader: string
  /** Told of problems that each request would repeat: the first of each kind is passed on. */
  readonly reports: {
    reportOnce(kind: string, error: unknown): void
    warnOnce(kind: string, message: string): void
  }
}

/** The facts of one request, each read when it is asked for. */
export class RequestFacts<Context> implements Facts {
  readonly #context: Context
  readonly #raw: RawRequest
  readonly #reading: RequestReading<Context>
  #consumer: string | null = null
  /** Asked for once, as the peer is judged once. */
  #trust: Trust | null = null
  #peerTrusted: boolean | null = null
  #address: { readonly ip: string; readonly peerTrusted: boolean } | null = null
  /** What a registry knows of the caller, which goes before what the request says. */
  known: { readonly id: string; readonly groups: readonly string[] } | null = null

  constructor(context: Context, raw: RawRequest, reading: RequestReading<Context>) {
    this.#context = context
    this.#raw = raw
    this.#reading = reading
  }

  consumer(): string {
    return this.known?.id ?? meantText(this.caller())
  }

  groups(): readonly string[] {
    return this.known?.groups ?? this.#ownGroups()
  }

  /** The consumer as the framework's authentication established it. */
  caller(): string {
    return (this.#consumer ??= this.#readConsumer())
  }

  #readConsumer(): string {
    const { consumer, reports } = this.#reading
    try {
      if (consumer === null) return this.#readUser()
      const value = consumer(this.#context)
      const text = consumerText(value)
      if (text !== null) return text
      if (isPromise(value)) disown(value)
      reports.reportOnce(
        'consumer returned no text',
        new TypeError(`consumer must return a text, a number or nothing, got ${kindOf(value)}`),
      )
    } catch (error) {
      reports.reportOnce('consumer threw', error)
    }
    return ''
  }

  /** Where authentication left somebody in whom no name is found, everyone would fall to the IP unsaid. */
  #readUser(): string {
    const user = this.#reading.user(this.#context)
    const text = consumerOfUser(user)
    if (text === '' && isSomebody(user)) {
      this.#reading.reports.warnOnce(
        'user without a name',
        `the authenticated user has no ${CONSUMER_NAMES.join(', ')}, so it counts as nobody: say who calls by the option consumer`,
      )
    }
    return text
  }

  #ownGroups(): readonly string[] {
    const { groups, reports } = this.#reading
    try {
      if (groups === null) return groupsOfUser(this.#reading.user(this.#context))
      const value = groups(this.#context)
      if (value === undefined || value === null) return []
      const list = groupList(value)
      if (list !== null) return list
      if (isPromise(value)) disown(value)
      reports.reportOnce(
        'groups returned no list',
        new TypeError(`groups must return a list of texts, got ${kindOf(value)}`),
      )
    } catch (error) {
      reports.reportOnce('groups threw', error)
    }
    return []
  }

  ip(): string {
    const trusted = this.peerTrusted()
    const { realIpHeader } = this.#reading
    if (this.#address !== null) {
      if (!trusted) this.#warnOfUntrusted('x-forwarded-for')
      return this.#address.ip
    }
    const peer = this.#peer()
    if (trusted && this.#trust !== null) return clientBehind(peer, this.#raw.headers, this.#trust, realIpHeader)
    if (peer !== '') this.#warnOfUntrusted(realIpHeader)
    return peer
  }

  /** The socket's peer in its one spelling; `''` on a Unix socket. */
  #peer(): string {
    const address = this.#raw.socket?.remoteAddress ?? ''
    return canonicalIp(address) ?? address
  }

  #warnOfUntrusted(header: string): void {
    if (headerText(this.#raw.headers, header) === '') return
    const peer = this.#raw.socket?.remoteAddress ?? 'an unknown peer'
    this.#reading.reports.warnOnce(
      'untrusted forwarding header',
      `${header} came from ${peer}, which is no trusted proxy: it is not believed, and all clients behind that peer share one bucket`,
    )
  }

  /** Whether the socket's peer may say who the client is. */
  peerTrusted(): boolean {
    return (this.#peerTrusted ??= this.#judgePeer())
  }

  #judgePeer(): boolean {
    const { address, trust } = this.#reading
    if (address !== null) {
      this.#address = address(this.#context)
      return this.#address.peerTrusted
    }
    const peer = this.#peer()
    if (peer === '') return false
    this.#trust = trust(this.#context)
    return this.#trust(peer, 0)
  }

  /** Whether it was said which peers may do that. */
  trustConfigured(): boolean {
    return this.#reading.trustConfigured(this.#context)
  }

  header(name: string): string {
    return meantText(headerText(this.#raw.headers, name))
  }

  cookie(name: string): string {
    return readCookie(this.#raw.headers.cookie, name)
  }

  secure(): boolean {
    if ('encrypted' in this.#raw.socket && this.#raw.socket.encrypted === true) return true
    return this.peerTrusted() && saysHttps(this.#raw.headers, this.#reading.realIpHeader)
  }
}

function kindOf(value: unknown): string {
  return isPromise(value) ? 'a Promise (an async function?)' : `a value of type ${typeof value}`
}
