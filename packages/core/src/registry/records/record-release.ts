import { CanaryError } from '../../errors.js'
import type { Hash } from '../../decision/plan.js'
import { type ReleaseRecord, UNTOUCHED } from '../../release/lifecycle.js'
import type { LifeState } from '../../release-state.js'
import { type Logger, SILENT } from '../../logger.js'
import type { PlacedOptions, ReleaseOptions } from '../../release/options.js'
import { restored } from '../../release/restored.js'
import { compileSettings } from '../../release/settings.js'
import { Timeline } from '../../release/timeline.js'
import type { Plugin } from '../entities/entities.js'
import { canaryLocation } from '../entities/location.js'
import type { CanaryConfig } from '../entities/records.js'
import type { FieldMessages } from '../entities/violation.js'
import type { StoredRecord } from './rows.js'

/** What all releases of a registry have in common. */
export interface ReleaseDefaults {
  readonly guard: ReleaseOptions['guard']
  readonly logger: Logger
  readonly onError: ((error: unknown) => void) | undefined
  readonly clock: () => number
  readonly random: (() => number) | undefined
}

type OptionalGate = ReleaseRecord & Pick<StoredRecord, 'gate'>

/** The options of a record's release. The salt is the plugin's id: a new name reshuffles nobody. */
export function optionsOf(plugin: Plugin, record: OptionalGate | null, defaults: ReleaseDefaults): PlacedOptions {
  const { id, instance_name, enabled, config } = plugin
  const { percentage, start, duration, canary_by_header_name } = config
  return {
    name: instance_name ?? id,
    salt: id,
    ...(percentage === null ? { start: start ?? undefined, duration } : { percentage }),
    steps: config.steps,
    hash: hashOf(config),
    override: canary_by_header_name === null ? undefined : { header: canary_by_header_name },
    upstreamFallback: config.upstream_fallback,
    enabled,
    state: stateOption(record ?? UNTOUCHED, enabled),
    gate: record?.gate,
    guard: defaults.guard,
    logger: defaults.logger,
    onError: defaults.onError,
    clock: defaults.clock,
    random: defaults.random,
  }
}

/** A record as the option `state`: while its plugin is disabled, the time of a ramp that runs stands still. */
function stateOption({ state, reason, by, at, elapsed }: ReleaseRecord, enabled: boolean): ReleaseRecord {
  const outlasts = state === 'paused' || state === 'rolled-back' || state === 'promoted'
  return { state: enabled || outlasts ? state : 'disabled', reason, by, at, elapsed }
}

function hashOf({ hash, hash_header, groups }: CanaryConfig): Hash {
  switch (hash) {
    case 'header':
      return { header: hash_header ?? '' }
    case 'allow':
      return { allow: groups ?? [] }
    case 'deny':
      return { deny: groups ?? [] }
    default:
      return hash
  }
}

const TRIAL: Omit<ReleaseDefaults, 'clock'> = {
  guard: false,
  logger: SILENT,
  onError: undefined,
  random: () => 0,
}

/** What a record's release is doing at an instant, or would be were its plugin enabled. */
export function lifeStateOf(plugin: Plugin, record: OptionalGate | null, nowMs: number): LifeState {
  const clock = () => nowMs
  const settings = compileSettings(optionsOf(plugin, record, { ...TRIAL, clock }), () => {}, true)
  return new Timeline(settings, restored(settings, nowMs)).state()
}

/** Where a release's option comes from. */
const FIELD_OF: Readonly<Record<string, keyof CanaryConfig>> = {
  percentage: 'percentage',
  start: 'start',
  duration: 'duration',
  steps: 'steps',
  'hash.header': 'hash_header',
  'hash.allow': 'groups',
  'hash.deny': 'groups',
  'override.header': 'canary_by_header_name',
  'upstreams.B': 'upstream_host',
  'upstreams.B.host': 'upstream_host',
  'upstreams.B.port': 'upstream_port',
  'upstreams.B.uri': 'upstream_uri',
}

/** What a release refuses of a plugin that fits its schema, such as a percentage that reaches no bucket. */
export function checkRelease(plugin: Plugin, clock: () => number): FieldMessages | null {
  try {
    canaryLocation(plugin.config)
    compileSettings(optionsOf(plugin, null, { ...TRIAL, clock }), () => {}, true)
    return null
  } catch (error) {
    if (!(error instanceof CanaryError)) throw error
    const [option = '', ...words] = error.message.split(' ')
    const field = FIELD_OF[option]
    return field === undefined ? { '@entity': [error.message] } : { config: { [field]: words.join(' ') } }
  }
}
