import { afterAll, describe } from 'vitest'
import { answers } from './conformance/answers.js'
import { bodies } from './conformance/bodies.js'
import { callers } from './conformance/callers.js'
import { decisions } from './conformance/decisions.js'
import { forwarding } from './conformance/forwarding.js'
import { FRAMEWORKS } from './conformance/frameworks.js'
import { createStage } from './conformance/stage.js'

// One suite for every framework: what differs between them is in their harness, not in what is expected.
for (const [name, harness] of Object.entries(FRAMEWORKS)) {
  describe(name, async () => {
    const { stage, end } = await createStage(harness)
    afterAll(end)
    describe('decides', () => decisions(stage))
    describe('knows its callers', () => callers(stage))
    describe('forwards', () => forwarding(stage))
    describe('sends bodies again', () => bodies(stage))
    describe('answers', () => answers(stage))
  })
}
