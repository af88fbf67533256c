import type { Readiness, Service } from '../contract/service.js'

/**
 * Starts services in the order in which they depend on each other, and stops them in reverse. When one cannot
 * start, those before it are stopped again: nothing is left half started.
 */
export class ServiceStack {
  private readonly started: Service[] = []
  private phase: 'stopped' | 'starting' | 'running' | 'stopping' = 'stopped'

  constructor(
    private readonly services: readonly Service[],
    /** A service that cannot be stopped does not keep the others from it. */
    private readonly onStopFailure: (service: string, error: unknown) => void,
  ) {}

  async start(): Promise<void> {
    this.phase = 'starting'
    try {
      for (const service of this.services) {
        this.started.push(service)
        await service.start()
      }
    } catch (error) {
      await this.stop()
      throw error
    }
    this.phase = 'running'
  }

  async stop(): Promise<void> {
    this.phase = 'stopping'
    for (let service = this.started.pop(); service !== undefined; service = this.started.pop()) {
      try {
        await service.stop()
      } catch (error) {
        this.onStopFailure(service.name, error)
      }
    }
    this.phase = 'stopped'
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
