import { afterAll, beforeAll } from 'vitest'
import { requireBinary } from '../../../test/servers/requirement.js'
import { type RedisServer, startRedis } from '../../../test/servers/redis.js'
import { harnessOn } from './harness.js'
import { runStoreSuite } from '../../core/test/store/suite.js'

const describeWithRedis = requireBinary('redis-server')

describeWithRedis('on redis-server', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server[Symbol.asyncDispose]())

  runStoreSuite(
    'Redis',
    harnessOn(() => server),
  )
})
