import type { RawRequest } from '../../node-http.js'

/** Names and values that Node's parser tells of one head where the server does not say how many. */
const TOLD_BY_NODE = 2000

/**
 * Whether Node may have left headers out. Node 20 does so without a word where there are more than
 * `server.maxHeadersCount`, and the `content-length` of a body that follows may be among them. Later versions and HTTP/2
 * refuse such requests themselves.
 */
export function mayLackHeaders({ rawHeaders, httpVersionMajor, socket }: RawRequest): boolean {
  if (httpVersionMajor > 1) return false
  const told = mostTold(socket)
  return told > 0 && rawHeaders.length >= told
}

function mostTold(socket: object): number {
  const server = 'server' in socket ? socket.server : null
  if (typeof server !== 'object' || server === null || !('maxHeadersCount' in server)) return TOLD_BY_NODE
  return typeof server.maxHeadersCount === 'number' ? server.maxHeadersCount * 2 : TOLD_BY_NODE
}
