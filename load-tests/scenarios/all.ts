import { idle, storm, subscriptions } from './crowd.js'
import type { LoadSettings, Scenario } from './scenario.js'
import { slow } from './slow.js'
import { soak } from './soak.js'
import { resume, retained } from './stored.js'
import { fanin, fanout, pairs } from './traffic.js'

export const scenarios = {
  fanout,
  fanin,
  pairs,
  idle,
  subscriptions,
  storm,
  retained,
  resume,
  slow,
  soak,
} as const

export type ScenarioName = keyof typeof scenarios
export const scenarioNames = Object.keys(scenarios) as readonly ScenarioName[]

const COMMON: LoadSettings = {
  transport: 'ws',
  version: 4,
  qos: 0,
  payloadBytes: 64,
  publishers: 1,
  receivers: 1,
  pace: { kind: 'closed', outstanding: 1 },
  sessions: 'clean',
  connections: 1_000,
  filters: 50,
  messages: 1_000,
  readers: 1,
  warmupMs: 1_000,
  durationMs: 5_000,
  sampleMs: 10_000,
  patienceMs: 60_000,
}

/** The settings of a scenario where nothing else is asked for. */
export function settingsOf(name: ScenarioName, asked: Partial<LoadSettings> = {}): LoadSettings {
  const scenario: Scenario = scenarios[name]
  return { ...COMMON, ...scenario.defaults, ...asked }
}
