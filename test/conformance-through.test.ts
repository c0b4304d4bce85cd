import { afterAll, describe } from 'vitest'
import { answers } from './conformance/answers.js'
import { bodies } from './conformance/bodies.js'
import { earlyAnswers } from './conformance/early-answers.js'
import { forwarding } from './conformance/forwarding.js'
import { THROUGH } from './conformance/frameworks.js'
import { limits } from './conformance/limits.js'
import { pipelines } from './conformance/pipelines.js'
import { createStage } from './conformance/stage.js'

// What forwarding promises holds as well where the framework sends the response: the same behaviours, `through` it.
for (const [name, harness] of Object.entries(THROUGH)) {
  describe(`conformance through ${name}`, async () => {
    const { stage, end } = await createStage(harness)
    afterAll(end)
    describe('forwards', () => void forwarding(stage))
    describe('sends bodies again', () => void bodies(stage))
    describe('hears early answers', () => void earlyAnswers(stage))
    describe('answers', () => void answers(stage))
    describe('keeps its limits', () => void limits(stage))
    describe('takes pipelines', () => void pipelines(stage))
  })
}
