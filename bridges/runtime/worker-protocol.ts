import type { MessagePort } from 'node:worker_threads'
import type { BridgeEvents } from '../../broker/contract/events.js'
import type { PipelineConfig } from '../config.js'

/** What a worker is started with. */
export interface WorkerStart {
  readonly pipelines: readonly PipelineConfig[]
  /** Pipelines' end of the port to the broker. */
  readonly port: MessagePort
}

export interface StopRequest {
  readonly kind: 'stop'
  readonly graceMs: number
}

/** `started`: each pipeline runs, or has made its first attempt. */
export type WorkerReport = { readonly kind: 'started' } | EventReport

/** A call of `BridgeEvents` as data: all of its arguments can be cloned. */
export interface EventReport {
  readonly kind: 'event'
  readonly name: ForwardedEvent
  readonly args: readonly unknown[]
}

export type ForwardedEvent = Exclude<keyof BridgeEvents, 'bridgeWorkerExited'>

/** Sends every event of a worker's pipelines to the thread that logs and counts. */
export function forwardEvents(send: (report: EventReport) => void): BridgeEvents {
  const forward =
    (name: ForwardedEvent) =>
    (...args: readonly unknown[]): void => {
      send({ kind: 'event', name, args })
    }
  return {
    pipelineState: forward('pipelineState'),
    pipelineProgress: forward('pipelineProgress'),
    recordsDropped: forward('recordsDropped'),
    pipelineRetrying: forward('pipelineRetrying'),
    // The host notices that; a worker cannot.
    bridgeWorkerExited: () => {},
  }
}

export function replayEvent({ name, args }: EventReport, events: BridgeEvents): void {
  const call = events[name].bind(events) as (...args: readonly unknown[]) => void
  call(...args)
}
