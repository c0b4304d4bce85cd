import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Store, fileStore } from '@canary-release/core/registry'
import { postgresStore } from '@canary-release/postgres'
import { redisStore } from '@canary-release/redis'

/** Of the demo's registry, so that it is nobody else's: in Redis, and of the schema in PostgreSQL. */
const NAME = 'canary_demo'

/** Whether a URL names a server that the demo can keep its release on. */
export function isStoreUrl(text: string): boolean {
  return /^(?:rediss?|postgres(?:ql)?):\/\/./.test(text) && URL.canParse(text)
}

/** What keeps the demo's release: by the URL of a server, or by the path of a file. */
export function openStore(place: string): Store {
  if (/^rediss?:/.test(place)) {
    // A demo's release may be lost: any server will do.
    return redisStore({ url: place, name: NAME, durability: 'none' })
  }
  return isStoreUrl(place) ? postgresStore({ connectionString: place, schema: NAME }) : fileStore(place)
}

/** Where a demo keeps its release. */
export interface StorePlace {
  readonly place: string
  /** For a person, without passwords. */
  readonly shown: string
  /** Removes what was made for one demo. */
  remove(): void
}

/** The server of a URL; without one, a file that lives as long as the demo. */
export async function storePlace(url: string | null): Promise<StorePlace> {
  if (url !== null) {
    const { protocol, host, pathname } = new URL(url)
    return { place: url, shown: `${protocol}//${host}${pathname} as ${NAME}`, remove: () => undefined }
  }
  const folder = await mkdtemp(join(tmpdir(), 'canary-demo-'))
  const removeFolder = () => rmSync(folder, { recursive: true, force: true })
  process.once('exit', removeFolder)
  const place = join(folder, 'canaries.json')
  return {
    place,
    shown: `${place} until this ends`,
    remove: () => {
      process.off('exit', removeFolder)
      removeFolder()
    },
  }
}
