import type { Registry } from 'prom-client'
import type { WorkerEvents } from '../contract/events.js'
import { counter, type Cell } from './cells.js'
import type { EventLog } from './event-log.js'

export class WorkerTelemetry implements WorkerEvents {
  private readonly exits: Cell

  constructor(
    registry: Registry,
    private readonly log: EventLog,
  ) {
    this.exits = counter(registry, {
      name: 'worker_exits_total',
      help: 'Worker processes that ended by themselves and were started again (`node.workers`).',
    })
  }

  workerReady(worker: number, pid: number): void {
    this.log.info('worker_ready', String(worker), { worker, pid }, `worker ${worker} takes connections`)
  }

  workerExited(worker: number, how: string, restartInMs: number): void {
    this.exits.count++
    const fields = { worker, how, restartInMs }
    this.log.error('worker_exited', String(worker), fields, `worker ${worker} has ended: ${how}`)
  }

  workerLeads(worker: number): void {
    this.log.info('worker_leads', String(worker), { worker }, `worker ${worker} runs pipelines and $SYS`)
  }
}
