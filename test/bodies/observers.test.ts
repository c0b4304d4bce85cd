import { describe } from 'vitest'
import { APPLICATIONS, http2Application } from './applications.js'
import { CASES, observed } from './observer-table.js'
import { upload, uploadHttp2 } from './uploads.js'

for (const [name, start] of Object.entries(APPLICATIONS)) {
  describe(`on ${name}`, () => void observed(start, {}, upload, CASES))
}

describe('over HTTP/2', () => void observed(http2Application, {}, uploadHttp2, CASES))
