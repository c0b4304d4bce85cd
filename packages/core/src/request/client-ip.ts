import type { IncomingHttpHeaders } from 'node:http'
import { addressOfEntry } from './address-entry.js'
import { forwardedValues } from './forwarded-header.js'
import { headerText } from './header-text.js'
import type { Trust } from './trust.js'

/**
 * The client's address behind a trusted proxy: the header it names the client in is read, from the right to the first
 * address that is not trusted. An entry that is no address ends the walk at the last good one.
 *
 * @param proxy its address
 * @param headerName in lower case
 */
export function clientBehind(proxy: string, headers: IncomingHttpHeaders, trust: Trust, headerName: string): string {
  const header = headerText(headers, headerName)
  if (header === '') return proxy
  if (headerName === 'x-forwarded-for') return walkList(proxy, header, trust)
  if (headerName === 'forwarded') return walk(proxy, forwardedValues(header, 'for')?.toReversed() ?? [], trust)
  return addressOfEntry(header) ?? proxy
}

/** From the right, entry by entry: a header of 64 KB costs no more than the hops that are trusted. */
function walkList(socket: string, header: string, trust: Trust): string {
  let client = socket
  let end = header.length
  for (let hop = 1; end >= 0; hop += 1) {
    const comma = end === 0 ? -1 : header.lastIndexOf(',', end - 1)
    const address = addressOfEntry(header.slice(comma + 1, end))
    if (address === null) return client
    client = address
    if (!trust(client, hop)) return client
    end = comma
  }
  return client
}

function walk(socket: string, entries: readonly string[], trust: Trust): string {
  let client = socket
  for (const [i, entry] of entries.entries()) {
    const address = addressOfEntry(entry)
    if (address === null) return client
    client = address
    if (!trust(client, i + 1)) return client
  }
  return client
}

/**
 * The client's address out of a list that a framework worked out (peer first, client last), in which an entry may be
 * rubbish: the last good one before it.
 */
export function clientOfChain(chain: readonly string[]): string {
  let client = ''
  for (const entry of chain) {
    const address = addressOfEntry(entry)
    if (address === null) return client
    client = address
  }
  return client
}
