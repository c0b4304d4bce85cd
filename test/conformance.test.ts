import { afterAll, describe } from 'vitest'
import { answers } from './conformance/answers.js'
import { bodies } from './conformance/bodies.js'
import { callers } from './conformance/callers.js'
import { decisions } from './conformance/decisions.js'
import { earlyAnswers } from './conformance/early-answers.js'
import { forwarding } from './conformance/forwarding.js'
import { FRAMEWORKS } from './conformance/frameworks.js'
import { hosts } from './conformance/hosts.js'
import { limits } from './conformance/limits.js'
import { loops } from './conformance/loops.js'
import { paths } from './conformance/paths.js'
import { pipelines } from './conformance/pipelines.js'
import { registry } from './conformance/registry.js'
import { createStage } from './conformance/stage.js'

// One suite for every framework: what differs between them is in their harness, not in what is expected.
for (const [name, harness] of Object.entries(FRAMEWORKS)) {
  describe(`conformance of ${name}`, async () => {
    const { stage, end } = await createStage(harness)
    afterAll(end)
    describe('decides', () => void decisions(stage))
    describe('knows its callers', () => void callers(stage))
    describe('forwards', () => void forwarding(stage))
    describe('reads hosts', () => void hosts(stage))
    describe('reads paths', () => void paths(stage))
    describe('sends bodies again', () => void bodies(stage))
    describe('hears early answers', () => void earlyAnswers(stage))
    describe('answers', () => void answers(stage))
    describe('keeps its limits', () => void limits(stage))
    describe('ends loops', () => void loops(stage))
    describe('takes pipelines', () => void pipelines(stage))
    describe('follows a registry', () => void registry(stage))
  })
}
