import type { Config } from '../../../config/schema.js'
import type { GatewayError } from '../../contract/errors.js'
import type { MetricSamples } from '../../telemetry/merged-metrics.js'
import type { ServiceReadiness } from '../services.js'

/** What the process that listens and its workers say to each other. Plain data. */
export type ToWorker =
  | {
      /** The first message. */
      readonly kind: 'start'
      readonly config: Config
      readonly configSource: string | undefined
    }
  /** Comes with the socket. */
  | { readonly kind: 'socket'; readonly listener: string; readonly id: number }
  | { readonly kind: 'lead' }
  /** The process of another worker has ended: `node` was its name among the nodes. */
  | { readonly kind: 'ended'; readonly node: string }
  | { readonly kind: 'drain' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'metrics'; readonly request: number }

export interface WorkerState {
  readonly services: readonly ServiceReadiness[]
  /** Whose CONNECT it has accepted. */
  readonly clients: number
  /** Its name among the nodes that share the store. */
  readonly node: string | undefined
}

export type FromWorker =
  | { readonly kind: 'ready' }
  /** It could not start; it ends. */
  | { readonly kind: 'failed'; readonly failure: Pick<GatewayError, 'code' | 'message' | 'hint'> }
  /** These sockets are the worker's now. */
  | { readonly kind: 'taken'; readonly ids: readonly number[] }
  /** Connections that have ended since the last time, by listener. */
  | { readonly kind: 'closed'; readonly connections: Readonly<Record<string, number>> }
  /** Whenever it changes, and before `ready` and `drained`. */
  | ({ readonly kind: 'state' } & WorkerState)
  | { readonly kind: 'drained' }
  | { readonly kind: 'metrics'; readonly request: number; readonly metrics: readonly MetricSamples[] }
