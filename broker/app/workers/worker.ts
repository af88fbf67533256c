import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Clock } from '../../contract/clock.js'
import { GatewayError } from '../../contract/errors.js'
import type { MetricSamples } from '../../telemetry/merged-metrics.js'
import type { ServiceReadiness } from '../services.js'
import type { FromWorker, ToWorker } from './protocol.js'

/** Sockets on their way to one worker at most; it takes them one at a time, and none while its event loop is busy. */
const UNDER_WAY_MAX = 4_096

/** A worker process, seen by the one that has started it. */
export class Worker {
  /** Resolves when it takes connections; rejects with a GatewayError when it cannot. */
  readonly ready: Promise<void>
  /** Resolves when the process is gone, with how it has ended. */
  readonly exited: Promise<string>
  readiness: readonly ServiceReadiness[] = []
  /** Clients whose CONNECT it has accepted, as last told. */
  clients = 0
  /** Its name among the nodes, as last told; undefined before it has joined them. */
  node: string | undefined

  private state: 'starting' | 'ready' | 'draining' | 'gone' = 'starting'
  private readonly open = new Map<string, number>()
  private total = 0
  /** Sockets that the worker has not taken yet. */
  private readonly underWay = new Map<number, Socket>()
  private sockets = 0
  private requests = 0
  /** What it has said of its end. */
  private failure: string | undefined
  private readonly answers = new Map<number, (metrics: readonly MetricSamples[] | undefined) => void>()
  private onReady: () => void = () => {}
  private onFailed: (error: GatewayError) => void = () => {}
  private onDrained: () => void = () => {}

  constructor(
    readonly number: number,
    private readonly child: ChildProcess,
  ) {
    this.ready = new Promise((resolve, reject) => {
      this.onReady = resolve
      this.onFailed = reject
    })
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        const how = this.failure ?? (signal === null ? `exit code ${code ?? 0}` : `signal ${signal}`)
        this.gone(how)
        resolve(how)
      })
      // It could not be started; there is no `exit` then.
      child.on('error', (error) => {
        if (child.pid !== undefined) return
        this.gone(error.message)
        resolve(error.message)
      })
    })
    child.on('message', (message) => this.told(message as FromWorker))
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** Whether it is to get connections. */
  get takes(): boolean {
    return this.state === 'ready'
  }

  /** Whether as many sockets are on their way to it as may be: it is too busy for more. */
  get full(): boolean {
    return this.underWay.size >= UNDER_WAY_MAX
  }

  get connections(): number {
    return this.total
  }

  connectionsOf(listener: string): number {
    return this.open.get(listener) ?? 0
  }

  hand(listener: string, socket: Socket): void {
    const id = ++this.sockets
    this.underWay.set(id, socket)
    this.add(listener, 1)
    // Kept open here until it is taken: of a worker that dies before, Node forgets to close what it has detached.
    this.child.send(
      { kind: 'socket', listener, id } satisfies ToWorker,
      socket,
      { keepOpen: true },
      (error) => {
        if (error === null) return
        // The process is ending: whoever it was comes again.
        this.letGo(id)
        this.add(listener, -1)
      },
    )
  }

  send(message: ToWorker): void {
    // A process that is ending tells by its end.
    if (this.child.connected) this.child.send(message, () => {})
  }

  kill(): void {
    this.child.kill('SIGKILL')
  }

  /** Gets no more connections. Resolves when its clients have left, or when it has ended. */
  drain(): Promise<void> {
    if (this.state !== 'ready') return Promise.resolve()
    this.state = 'draining'
    this.send({ kind: 'drain' })
    return new Promise((resolve) => {
      this.onDrained = resolve
    })
  }

  /** Undefined: no answer in time. */
  metrics(clock: Pick<Clock, 'schedule'>, withinMs: number): Promise<readonly MetricSamples[] | undefined> {
    const request = ++this.requests
    this.send({ kind: 'metrics', request })
    return new Promise((resolve) => {
      const answered = (metrics: readonly MetricSamples[] | undefined): void => {
        patience.cancel()
        this.answers.delete(request)
        resolve(metrics)
      }
      const patience = clock.schedule(withinMs, () => answered(undefined))
      this.answers.set(request, answered)
    })
  }

  private told(message: FromWorker): void {
    switch (message.kind) {
      case 'ready':
        this.state = 'ready'
        this.onReady()
        break
      case 'failed': {
        const { code, message: text, hint } = message.failure
        this.failure = `${code}: ${text}`
        this.onFailed(new GatewayError(code, text, hint === undefined ? {} : { hint }))
        break
      }
      case 'taken':
        for (const id of message.ids) this.letGo(id)
        break
      case 'closed':
        for (const [listener, count] of Object.entries(message.connections)) this.add(listener, -count)
        break
      case 'state':
        this.readiness = message.services
        this.clients = message.clients
        this.node = message.node
        break
      case 'drained':
        this.onDrained()
        break
      case 'metrics':
        this.answers.get(message.request)?.(message.metrics)
        break
    }
  }

  /** Closes the socket in this process; the connection ends with it unless the worker has it. */
  private letGo(id: number): void {
    this.underWay.get(id)?.destroy()
    this.underWay.delete(id)
  }

  private add(listener: string, count: number): void {
    if (this.state === 'gone') return
    this.open.set(listener, this.connectionsOf(listener) + count)
    this.total += count
  }

  private gone(how: string): void {
    this.state = 'gone'
    for (const id of this.underWay.keys()) this.letGo(id)
    this.clients = 0
    this.open.clear()
    this.total = 0
    this.onFailed(new GatewayError('INTERNAL', `worker ${this.number} has ended at its start: ${how}`))
    this.onDrained()
    for (const answered of [...this.answers.values()]) answered(undefined)
  }
}
