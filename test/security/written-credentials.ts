import { inspect } from 'node:util'

export const SECRET = 's3cr3tpw'
export const USER = 'us3rnam3'

/** Credentials in every wrong form that people and their tools write them. */
export const WRITTEN = [
  `http://${USER}:${SECRET}@host/`,
  `http://${USER}:${SECRET}%40host`,
  `http://${USER}:${SECRET}%2540host/`,
  `http://${USER}:p@${SECRET}@host/`,
  `http://${USER}:${SECRET}`,
  `http://${USER}:${SECRET}/path`,
  `http://${SECRET}@`,
  `//${USER}:${SECRET}@host`,
  `//${USER}:${SECRET}`,
  `HTTP://${USER}:${SECRET}@HOST`,
  `HtTpS:\\\\${USER}:${SECRET}%40host`,
  `http:${USER}:${SECRET}@host`,
  `http:/${USER}:${SECRET}@host`,
  `ht\ttp://${USER}:${SECRET}@host`,
  `http://${USER}:${SECRET}\n@host`,
  `\n http://${USER}:${SECRET}@host`,
  `${USER}:${SECRET}@host`,
  `${USER}:${SECRET}://x@host`,
  `${USER}:${SECRET} http://x@host`,
  `http://${USER}:${SECRET}\uff20host`,
  `http://ünï:${SECRET}@hôst`,
  `http://${USER}:${SECRET}\ud800@host`,
  `http://host/?token=${SECRET}`,
  `http://host/#token=${SECRET}`,
  `http://${USER}:1#${SECRET}@host`,
  `http://${USER}:1?${SECRET}@host`,
  `http://${USER}:${SECRET}@host:99999/`,
  `ftp://${USER}:${SECRET}@host/`,
]

/** All that an error says to whoever logs or prints it. */
export function saidBy(error: unknown): string {
  const texts: string[] = []
  for (let at = error, depth = 0; at instanceof Error && depth < 9; at = at.cause, depth += 1) {
    texts.push(String(at), at.stack ?? '', JSON.stringify(at), inspect(at, { depth: 9, showHidden: true }))
  }
  return texts.join('\n')
}
