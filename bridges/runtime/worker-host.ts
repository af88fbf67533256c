import { MessageChannel, Worker } from 'node:worker_threads'
import type { Clock, Timer } from '../../broker/contract/clock.js'
import type { BridgeEvents } from '../../broker/contract/events.js'
import type { PortHost } from '../../broker/contract/port.js'
import type { Readiness, Service } from '../../broker/contract/service.js'
import type { PipelineConfig } from '../config.js'
import { Backoff } from './backoff.js'
import { threadPortEnd } from './port-ends.js'
import { replayEvent, type StopRequest, type WorkerReport, type WorkerStart } from './worker-protocol.js'

export interface WorkerHostOptions {
  readonly pipelines: readonly PipelineConfig[]
  readonly port: PortHost
  readonly events: BridgeEvents
  readonly clock: Clock
  readonly random: () => number
  /** Time for the pipelines to stop in order, milliseconds; then the worker is ended. */
  readonly graceMs: number
  /** Entry of the worker; default: `worker-main.js` beside this file. */
  readonly workerFile?: URL
}

const RESTART = { firstMs: 500, longestMs: 30_000 }
/** A worker that has lived so long has overcome what killed the one before it. */
const STABLE_MS = 60_000
/** Beyond the grace, for the thread to end. */
const END_MS = 500

/**
 * Runs a gateway's pipelines on a thread of their own, so that a heavy one delays no connection, and one that runs
 * out of memory or meets a defect ends that thread and not the gateway. Then the thread is started again.
 */
export class WorkerHost implements Service {
  readonly name = 'bridges'

  private worker: Worker | undefined
  private exited: Promise<void> = Promise.resolve()
  private started = false
  private stopping = false
  private restart: Timer | undefined
  private readonly backoff: Backoff

  constructor(private readonly options: WorkerHostOptions) {
    this.backoff = new Backoff(RESTART, options.random)
  }

  /** Resolves when the pipelines run or have made their first attempt; also when the worker has died before. */
  async start(): Promise<void> {
    this.stopping = false
    await this.spawn()
  }

  /** The pipelines stop in the order of their data; what was not done after the grace is cut off. */
  async stop(): Promise<void> {
    this.stopping = true
    this.restart?.cancel()
    const { worker } = this
    if (worker === undefined) return
    const { graceMs, clock } = this.options
    const request: StopRequest = { kind: 'stop', graceMs }
    worker.postMessage(request)
    const deadline = clock.schedule(graceMs + END_MS, () => {
      void worker.terminate()
    })
    await this.exited
    deadline.cancel()
  }

  readiness(): Readiness {
    return this.started
      ? { ready: true }
      : { ready: false, reason: 'the worker of the pipelines is not running; it is started again by itself' }
  }

  private spawn(): Promise<void> {
    const { pipelines, port, events, clock, workerFile } = this.options
    const { port1: brokerSide, port2: workerSide } = new MessageChannel()
    const workerData: WorkerStart = { pipelines, port: workerSide }
    const worker = new Worker(workerFile ?? new URL('./worker-main.js', import.meta.url), {
      workerData,
      transferList: [workerSide],
    })
    const spawnedAt = clock.now()
    this.worker = worker
    port.attach(threadPortEnd(brokerSide))

    return new Promise((resolve) => {
      let cause: Error | undefined
      worker.on('message', (report: WorkerReport) => {
        if (report.kind === 'event') replayEvent(report, events)
        else {
          this.started = true
          resolve()
        }
      })
      worker.on('error', (error: unknown) => {
        cause = error instanceof Error ? error : new Error(String(error))
      })
      this.exited = new Promise((exit) => {
        worker.on('exit', (code) => {
          this.started = false
          this.worker = undefined
          port.detach()
          if (!this.stopping) {
            if (clock.now() - spawnedAt >= STABLE_MS) this.backoff.reset()
            this.respawn(cause ?? new Error(`the worker ended with exit code ${code}`))
          }
          exit()
          resolve()
        })
      })
    })
  }

  private respawn(cause: Error): void {
    const delayMs = this.backoff.next()
    this.options.events.bridgeWorkerExited(cause, delayMs)
    this.restart = this.options.clock.schedule(delayMs, () => {
      void this.spawn()
    })
  }
}
