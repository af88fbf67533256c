import type { Service } from '../contract/service.js'

/** What a node does once, whichever of its processes it is that does it. */
export interface Duty extends Service {
  /** From now on this process does it. Rejects as `start` of the service does. */
  lead(): Promise<void>
}

/** The service, idle until it is told to lead. Stopped for good by `stop`, also when it is told later. */
export function duty(service: Service, leads: boolean): Duty {
  const { name } = service
  let phase: 'new' | 'idle' | 'leading' | 'stopped' = 'new'
  let starting: Promise<void> = Promise.resolve()
  const begin = (): Promise<void> => {
    phase = 'leading'
    starting = service.start()
    return starting
  }
  const end = async (): Promise<void> => {
    const led = phase === 'leading'
    phase = 'stopped'
    // Nothing is stopped in the middle of its start; whoever has started it hears of a failure.
    await starting.catch(() => {})
    if (led) await service.stop()
  }
  let stopping: Promise<void> | undefined
  return {
    name,
    async start() {
      if (phase === 'stopped') return
      phase = 'idle'
      if (leads) await begin()
    },
    async lead() {
      leads = true
      if (phase === 'idle') await begin()
    },
    stop() {
      stopping ??= end()
      return stopping
    },
    ...('readiness' in service && {
      readiness: () => (phase === 'leading' ? service.readiness?.() : undefined) ?? { ready: true },
    }),
  }
}
