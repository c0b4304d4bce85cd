// Compiled by test/types.test.ts, with a second copy of core: its releases are taken as they are.
import { type Release, createRelease } from '@canary-release/core'
import { createHandler } from '@canary-release/core/node'
import { canary as expressCanary } from '@canary-release/express'
import { canary as koaCanary } from '@canary-release/koa'
import { createRelease as createOther } from 'core-copy'
import { createHandler as createOtherHandler } from 'core-copy/node'

const upstreams = { A: 'http://orders-v1:3000', B: 'http://orders-v2:3000' }
const other: Release = createOther({ name: 'orders-v2', upstreams, percentage: 10 })
expressCanary(other)
koaCanary(other)
createHandler(other)
createOtherHandler(createRelease({ name: 'orders-v2', upstreams, percentage: 10 }))
