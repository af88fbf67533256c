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
  | { readonly kind: 'drain' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'metrics'; readonly request: number }

export type FromWorker =
  | { readonly kind: 'ready' }
  /** It could not start; it ends. */
  | { readonly kind: 'failed'; readonly failure: Pick<GatewayError, 'code' | 'message' | 'hint'> }
  /** These sockets are the worker's now. */
  | { readonly kind: 'taken'; readonly ids: readonly number[] }
  /** Connections that have ended since the last time, by listener. */
  | { readonly kind: 'closed'; readonly connections: Readonly<Record<string, number>> }
  /** Whenever it changes, and before `drained`. */
  | { readonly kind: 'state'; readonly services: readonly ServiceReadiness[]; readonly clients: number }
  | { readonly kind: 'drained' }
  | { readonly kind: 'metrics'; readonly request: number; readonly metrics: readonly MetricSamples[] }
