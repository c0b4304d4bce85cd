// The same packages from CommonJS: Node's require() of ES modules.
import core = require('@canary-release/core')
import express = require('@canary-release/express')

const release: core.Release = core.createRelease({
  name: 'x',
  upstreams: { A: 'http://a', B: 'http://b' },
  percentage: 10,
})
express.canary(release).close satisfies () => Promise<void>
// @ts-expect-error: no such export
core.createReleases
