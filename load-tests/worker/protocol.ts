import type { Arrival, CrowdPlan } from '../traffic/crowd.js'
import type { Drained } from '../traffic/drain.js'
import type { QueuePlan, StoredPlan, TrafficPlan } from '../traffic/plan.js'
import type { TrafficOutcome, TrafficWindow } from '../traffic/traffic.js'

/** How many messages each publisher has sent. */
export type Sent = readonly (readonly [publisher: number, sent: number])[]

/** What a worker can be told to do. The order is the scenario's. */
export interface Steps {
  'traffic.open': (plan: TrafficPlan) => void
  'traffic.start': () => void
  'traffic.beginWindow': () => void
  'traffic.endWindow': () => TrafficWindow
  'traffic.stopReading': (count: number) => void
  'traffic.stop': () => Sent
  'traffic.settle': (sent: Sent) => TrafficOutcome
  'traffic.close': () => void
  'crowd.connect': (plan: CrowdPlan) => Arrival
  'crowd.subscribe': (filters: number) => void
  'crowd.returned': () => number
  'crowd.close': () => void
  'retained.fill': (plan: StoredPlan) => void
  'retained.read': (reader: number) => Drained
  'retained.clear': () => void
  'queues.prepare': (plan: QueuePlan) => void
  'queues.fill': () => void
  'queues.drain': () => Drained
  'queues.clear': () => void
}

export type StepName = keyof Steps
/** Undefined for a step that takes none. */
export type ArgumentOf<Name extends StepName> = Parameters<Steps[Name]>[0]
export type AnswerOf<Name extends StepName> = ReturnType<Steps[Name]>

export interface StepRequest {
  readonly id: number
  readonly step: StepName
  readonly argument: unknown
}

export type StepReply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly code: string; readonly message: string }
