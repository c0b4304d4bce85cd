import { readCookie } from './cookies.js'
import { meantText, trimBlanks } from './wire-text.js'

/**
 * What a decision may want to know of a request. Each is asked for only where a rule needs it; the empty string
 * means that the request has none. None of them throws.
 */
export interface Facts {
  consumer(): string
  groups(): readonly string[]
  ip(): string
  /** @param name in lower case */
  header(name: string): string
  cookie(name: string): string
  /** Whether the client speaks TLS, with this server or with a trusted proxy, so that a cookie may be `Secure`. */
  secure(): boolean
}

/** A request described by hand, for {@link Release.decide} and {@link Release.explain}. All of it is optional. */
export interface RequestDescription {
  /**
   * Who calls, as an authentication established it.
   *
   * @default nobody
   */
  readonly consumer?: string | number | undefined
  /**
   * The caller's groups.
   *
   * @default none
   */
  readonly groups?: readonly string[] | undefined
  /**
   * The client's address.
   *
   * @default none
   */
  readonly ip?: string | undefined
  /**
   * Headers, by names in any case. A string means the same as its UTF-8, read byte for byte as Node does.
   *
   * @default none
   */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined
  /**
   * Cookies by name. Those that are not here are looked for in the header `cookie`.
   *
   * @default none
   */
  readonly cookies?: Readonly<Record<string, string | undefined>> | undefined
  /**
   * True if the client speaks TLS.
   *
   * @default false
   */
  readonly secure?: boolean | undefined
}

const NO_GROUPS: readonly string[] = []

/** Facts from a description that may be anything at all: what cannot be read counts as missing. */
export class DescribedFacts implements Facts {
  readonly #request: RequestDescription

  constructor(request: RequestDescription) {
    this.#request = request
  }

  consumer(): string {
    try {
      return meantText(textOf(this.#request.consumer))
    } catch {
      return ''
    }
  }

  groups(): readonly string[] {
    try {
      const { groups } = this.#request
      return Array.isArray(groups) ? [...groups].filter((group) => typeof group === 'string') : NO_GROUPS
    } catch {
      return NO_GROUPS
    }
  }

  ip(): string {
    try {
      return textOf(this.#request.ip)
    } catch {
      return ''
    }
  }

  header(name: string): string {
    try {
      return meantText(this.#headerText(name))
    } catch {
      return ''
    }
  }

  cookie(name: string): string {
    try {
      const { cookies } = this.#request
      const described = cookies !== undefined && cookies !== null && Object.hasOwn(cookies, name)
      return readCookie(described ? `${name}=${textOf(cookies[name])}` : this.#headerText('cookie'), name)
    } catch {
      return ''
    }
  }

  #headerText(name: string): string {
    const { headers } = this.#request
    if (headers === undefined || headers === null) return ''
    if (Object.hasOwn(headers, name)) return headerText(headers[name])
    for (const key of Object.keys(headers)) if (key.toLowerCase() === name) return headerText(headers[key])
    return ''
  }

  secure(): boolean {
    try {
      return this.#request.secure === true
    } catch {
      return false
    }
  }
}

/** As a server reads it: without the blanks around each value. */
function headerText(value: unknown): string {
  return Array.isArray(value) && value.every((part) => typeof part === 'string')
    ? value.map(trimBlanks).join(', ')
    : trimBlanks(textOf(value))
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : ''
  if (typeof value === 'bigint') return String(value)
  return Array.isArray(value) && value.every((part) => typeof part === 'string') ? value.join(', ') : ''
}
