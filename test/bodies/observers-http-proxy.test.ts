import { httpProxyForwarder } from '@canary-release/core/http-proxy'
import { describe } from 'vitest'
import { APPLICATIONS } from './applications.js'
import { CASES, observed } from './observer-table.js'
import { upload } from './uploads.js'

// The upload itself is the same code for all of them: large ones in one of their cases are enough here.
const cases = CASES.filter(
  ({ size, framing, moment }) => size === 'small' || (framing === 'in chunks' && moment === 'just before the canary'),
)

for (const [name, start] of Object.entries(APPLICATIONS)) {
  describe(`on ${name} through http-proxy`, () =>
    void observed(start, { forwarder: httpProxyForwarder() }, upload, cases))
}
