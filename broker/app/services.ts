import { GatewayError } from '../contract/errors.js'
import type { Readiness, Service } from '../contract/service.js'

/**
 * Starts services in the order in which they depend on each other, and stops them in reverse. When one cannot
 * start, those before it are stopped again: nothing is left half started.
 */
export class ServiceStack {
  private readonly started: Service[] = []
  private phase: 'stopped' | 'starting' | 'running' | 'stopping' = 'stopped'
  private starting: Promise<void> | undefined
  private stopping: Promise<void> | undefined

  constructor(
    private readonly services: readonly Service[],
    /** A service that cannot be stopped does not keep the others from it. */
    private readonly onStopFailure: (service: string, error: unknown) => void,
  ) {}

  /** Once. Rejects with NOT_RUNNING when it is stopped meanwhile. */
  start(): Promise<void> {
    this.starting ??= this.startAll()
    return this.starting
  }

  /** Resolves when everything is stopped, however often it is called, and also while a start is under way. */
  stop(): Promise<void> {
    this.stopping ??= this.stopAll()
    return this.stopping
  }

  private async startAll(): Promise<void> {
    this.phase = 'starting'
    try {
      for (const service of this.services) {
        if (this.stopping !== undefined)
          throw new GatewayError('NOT_RUNNING', 'The gateway was stopped while it was starting.')
        this.started.push(service)
        await service.start()
      }
    } catch (error) {
      await this.unwind()
      this.phase = 'stopped'
      throw error
    }
    this.phase = 'running'
  }

  private async stopAll(): Promise<void> {
    // Nothing is stopped in the middle of its start: what it opens behind that would stay open.
    await this.starting?.catch(() => {})
    this.phase = 'stopping'
    await this.unwind()
    this.phase = 'stopped'
  }

  private async unwind(): Promise<void> {
    for (let service = this.started.pop(); service !== undefined; service = this.started.pop()) {
      try {
        await service.stop()
      } catch (error) {
        this.onStopFailure(service.name, error)
      }
    }
  }

  /** Ready when everything runs and nothing says otherwise. */
  readiness(): readonly ServiceReadiness[] {
    const own = { name: 'gateway', readiness: this.ownReadiness() }
    const others = this.services.flatMap((service) => {
      const readiness = service.readiness?.()
      return readiness === undefined ? [] : [{ name: service.name, readiness }]
    })
    return [own, ...others]
  }

  /** Whether everything has been started and nothing is being stopped. */
  get running(): boolean {
    return this.phase === 'running'
  }

  private ownReadiness(): Readiness {
    return this.phase === 'running'
      ? { ready: true }
      : { ready: false, reason: `the gateway is ${this.phase}` }
  }
}

export interface ServiceReadiness {
  readonly name: string
  readonly readiness: Readiness
}

/** A service of a few functions, for steps that have no class of their own. */
export function step(name: string, actions: Partial<Omit<Service, 'name'>>): Service {
  const nothing = () => Promise.resolve()
  return { name, start: nothing, stop: nothing, ...actions }
}
