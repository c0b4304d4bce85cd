import proxyAddr from 'proxy-addr'
import { optionError } from '../option-error.js'

/** Whether an address belongs to a proxy whose headers are believed. `hop` is 0 for the socket's own peer. */
export type Trust = (address: string, hop: number) => boolean

export const TRUST_NOBODY: Trust = () => false

/**
 * Compiles addresses, CIDRs and the names `loopback`, `linklocal` and `uniquelocal` to one function.
 *
 * @throws {CanaryError} ERR_CANARY_OPTION for an entry that is none of these
 */
export function compileTrust(ranges: readonly string[]): Trust {
  if (ranges.length === 0) return TRUST_NOBODY
  for (const range of ranges) {
    try {
      proxyAddr.compile([range])
    } catch {
      throw optionError('trustedIps', 'must hold addresses, CIDRs, loopback, linklocal or uniquelocal', range)
    }
  }
  const trusts = proxyAddr.compile([...ranges])
  return (address, hop) => trusts(address, hop)
}
