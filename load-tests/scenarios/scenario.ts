import type { Version } from '../client/packets.js'
import type { Broker, Transport } from '../peers/broker.js'
import type { MetricName } from '../report/metrics.js'
import type { Run } from '../report/report.js'
import type { Pace, SessionKind } from '../traffic/plan.js'
import type { Crew } from '../worker/crew.js'

/** How the work is set. Each scenario has defaults, and looks at what concerns it. */
export interface LoadSettings {
  readonly transport: Transport
  readonly version: Version
  readonly qos: 0 | 1 | 2
  /** At least 12: a payload begins with a stamp. */
  readonly payloadBytes: number
  readonly publishers: number
  readonly receivers: number
  readonly pace: Pace
  readonly sessions: SessionKind
  /** Of `idle`, `storm` and `subscriptions`. */
  readonly connections: number
  /** Of each client of `subscriptions`. */
  readonly filters: number
  /** Retained messages, or messages queued for each session. */
  readonly messages: number
  /** Receivers that stop reading (`slow`), or clients that read all retained messages in turn. */
  readonly readers: number
  readonly warmupMs: number
  readonly durationMs: number
  /** Time between two points of a timeline (`soak`). */
  readonly sampleMs: number
  readonly patienceMs: number
}

export interface RunContext {
  readonly broker: Broker
  readonly crew: Crew
  readonly settings: LoadSettings
  /** Distinct for each run: in client identifiers and topics. */
  readonly runId: string
  /** What is going on, for a terminal. */
  readonly progress: (text: string) => void
}

export type RunResult = Pick<Run, 'metrics' | 'latency' | 'timeline'>

export interface Scenario {
  readonly summary: string
  /** The figure that reports put first and ratios are made of. */
  readonly figure: MetricName
  readonly defaults: Partial<LoadSettings>
  /** Options that it looks at, for the report. */
  readonly concerns: readonly (keyof LoadSettings)[]
  /** Whether what a broker has done before would falsify a run (memory), so that each begins with a new process. */
  readonly freshBroker: boolean
  run(context: RunContext): Promise<RunResult>
}
