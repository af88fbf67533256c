import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../../contract/clock.js'
import type { WorkerEvents } from '../../contract/events.js'
import type { MetricSamples } from '../../telemetry/merged-metrics.js'
import { Backoff } from '../../../bridges/runtime/backoff.js'
import type { ServiceReadiness } from '../services.js'
import type { ToWorker } from './protocol.js'
import { Worker } from './worker.js'

export interface WorkerPoolOptions {
  readonly count: number
  readonly fork: () => ChildProcess
  /** The first message to a worker; asked for each start. */
  readonly greeting: (worker: number) => ToWorker & { readonly kind: 'start' }
  readonly events: WorkerEvents
  readonly clock: Clock
  readonly random: () => number
  /** For a worker to drain and stop, milliseconds; then it is killed. */
  readonly stopWithinMs: number
}

/** Between the end of a worker and the next start: 0.25 s, doubled up to 30 s. */
const RESTARTS = { firstMs: 250, longestMs: 30_000 }
/** A worker that has run for so long has not failed by what it was started with, milliseconds. */
const SOUND_AFTER_MS = 60_000
/** For the answer to a scrape, milliseconds: a worker that is stuck is left out. */
const METRICS_WITHIN_MS = 2_000

interface Slot {
  readonly number: number
  readonly backoff: Backoff
  worker: Worker | undefined
  restart: Timer | undefined
}

/**
 * The worker processes of a node: started, started again when they end by themselves, given the connections, told which
 * of them leads. Owns no MQTT state: that is in the workers and in the store that they share.
 */
export class WorkerPool {
  private readonly slots: readonly Slot[]
  private leader: Worker | undefined
  /** Names of workers that have ended, until another one has been told. */
  private ended: string[] = []
  /** Nobody leads any more. */
  private draining = false
  private stopping = false
  private started = false

  constructor(private readonly options: WorkerPoolOptions) {
    this.slots = Array.from({ length: options.count }, (_, index) => ({
      number: index + 1,
      backoff: new Backoff(RESTARTS, options.random),
      worker: undefined,
      restart: undefined,
    }))
  }

  /** Resolves when all workers take connections; rejects with what the first one that cannot says. */
  async start(): Promise<void> {
    try {
      await Promise.all(this.slots.map((slot) => this.launch(slot).ready))
      this.started = true
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /** Tells all to drain and to end; kills those that do not in time. */
  async stop(): Promise<void> {
    this.stopping = true
    for (const slot of this.slots) slot.restart?.cancel()
    const workers = this.running()
    for (const worker of workers) worker.send({ kind: 'stop' })
    const deadline = this.options.clock.schedule(this.options.stopWithinMs, () => this.kill())
    await Promise.all(workers.map((worker) => worker.exited))
    deadline.cancel()
  }

  /** SIGKILL, for the end of this process by force. */
  kill(): void {
    for (const worker of this.running()) worker.kill()
  }

  /**
   * Gives the socket to the worker that has the fewest connections: those of MQTT last, so that turns, as node:cluster
   * takes them, leave a worker that was started again nearly empty for good. Measured, 4,000 connections of 4 workers,
   * one killed: 1,260, 1,228, 1,232, 280 by turns; 1,000 each this way. False: nobody takes it.
   */
  hand(listener: string, socket: Socket): boolean {
    let idlest: Worker | undefined
    for (const { worker } of this.slots) {
      if (worker === undefined || !worker.takes || worker.full) continue
      if (idlest === undefined || worker.connections < idlest.connections) idlest = worker
    }
    idlest?.hand(listener, socket)
    return idlest !== undefined
  }

  /** Connections that workers have, of one listener or of all. */
  connections(listener?: string): number {
    return this.running().reduce(
      (sum, worker) => sum + (listener === undefined ? worker.connections : worker.connectionsOf(listener)),
      0,
    )
  }

  /** Clients of all workers, as last told. */
  get clients(): number {
    return this.running().reduce((sum, { clients }) => sum + clients, 0)
  }

  /** Resolves when every worker has drained, or ended. */
  async drain(): Promise<void> {
    this.draining = true
    await Promise.all(this.running().map((worker) => worker.drain()))
  }

  /**
   * Of every worker that runs. One that is being started again is none: the others take its clients, and taking the
   * whole node out for it would cost those of the others.
   */
  readiness(): readonly ServiceReadiness[] {
    const own: ServiceReadiness = {
      name: 'workers',
      readiness: this.running().some(({ takes }) => takes)
        ? { ready: true }
        : { ready: false, reason: 'no worker takes connections' },
    }
    const theirs = this.running().flatMap((worker) =>
      worker.readiness.map(({ name, readiness }) => ({
        name: `worker ${worker.number}: ${name}`,
        readiness,
      })),
    )
    return [own, ...theirs]
  }

  /** By number of the worker; one that does not answer in time is left out. */
  async metrics(): Promise<ReadonlyMap<string, readonly MetricSamples[]>> {
    const { clock } = this.options
    const answers = await Promise.all(
      this.running()
        .filter(({ takes }) => takes)
        .map(
          async (worker) => [String(worker.number), await worker.metrics(clock, METRICS_WITHIN_MS)] as const,
        ),
    )
    return new Map(
      answers.flatMap(([name, metrics]) => (metrics === undefined ? [] : [[name, metrics] as const])),
    )
  }

  private launch(slot: Slot): Worker {
    const { fork, greeting, events, clock } = this.options
    const worker = new Worker(slot.number, fork())
    slot.worker = worker
    slot.restart = undefined
    let readyAt = Infinity
    worker.ready.then(
      () => {
        readyAt = clock.monotonic()
        events.workerReady(worker.number, worker.pid)
        this.tellEnded()
        this.chooseLeader()
      },
      // The end of the worker tells.
      () => {},
    )
    void worker.exited.then((how) => {
      slot.worker = undefined
      if (this.leader === worker) this.leader = undefined
      if (this.stopping || (!this.started && readyAt === Infinity)) return
      if (clock.monotonic() - readyAt >= SOUND_AFTER_MS) slot.backoff.reset()
      const delayMs = slot.backoff.next()
      events.workerExited(worker.number, how, delayMs)
      if (worker.node !== undefined) this.ended.push(worker.node)
      this.tellEnded()
      slot.restart = clock.schedule(delayMs, () => this.launch(slot))
      this.chooseLeader()
    })
    worker.send(greeting(slot.number))
    return worker
  }

  /** What a worker had that has ended, another one takes over at once: this process knows of the end for sure. */
  private tellEnded(): void {
    const member = this.running().find(({ node }) => node !== undefined)
    if (member !== undefined) for (const node of this.ended.splice(0)) member.send({ kind: 'ended', node })
  }

  private chooseLeader(): void {
    if (this.leader !== undefined || this.draining || this.stopping) return
    const next = this.running().find(({ takes }) => takes)
    if (next === undefined) return
    this.leader = next
    next.send({ kind: 'lead' })
    this.options.events.workerLeads(next.number)
  }

  private running(): Worker[] {
    return this.slots.flatMap(({ worker }) => (worker === undefined ? [] : [worker]))
  }
}
