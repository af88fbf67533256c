import type { Config } from '../../config/schema.js'
import type { Clock } from '../contract/clock.js'
import type { Drainable, DrainStatus } from '../contract/drain.js'
import type { Service } from '../contract/service.js'
import type { DeparturePlan } from '../session/departure.js'
import type { ServiceReadiness } from './services.js'

export interface DrainParts {
  readonly listeners: readonly { stopAccepting(): void }[]
  readonly bridges: Pick<Service, 'stop'>
  readonly sessions: { readonly clientCount: number; drain(plan: DeparturePlan): Promise<boolean> }
  readonly settings: Config['shutdown']
  /** Whether other nodes take the clients, asked when they begin to leave. */
  readonly elsewhere: () => boolean
  readonly clock: Clock
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
}

/**
 * Empties the node: not ready any more, then no new clients, then the pipelines flush their windows to whoever is
 * still there, then the clients leave. Everything else goes on, so that what is under way is finished.
 */
export class Drain implements Drainable {
  private phase: DrainStatus['phase'] = 'serving'
  private running: Promise<void> | undefined
  private clientsAtStart = 0
  private startedAt = 0
  private endedAt: number | undefined

  constructor(private readonly parts: DrainParts) {}

  begin(): void {
    void this.run()
  }

  /** Resolves when no client is left, or when their time is over; never rejects. */
  run(): Promise<void> {
    this.running ??= this.drain()
    return this.running
  }

  status(): DrainStatus {
    const { clock, sessions } = this.parts
    const ms = this.running === undefined ? 0 : (this.endedAt ?? clock.monotonic()) - this.startedAt
    const seconds = Math.round(ms) / 1_000
    return { phase: this.phase, clients: sessions.clientCount, clientsAtStart: this.clientsAtStart, seconds }
  }

  /** For `/readyz`: nothing to say while there is no drain. */
  readiness(): readonly ServiceReadiness[] {
    if (this.phase === 'serving') return []
    const reason = this.phase === 'drained' ? 'the node is drained' : 'the node is being drained'
    return [{ name: 'drain', readiness: { ready: false, reason } }]
  }

  private async drain(): Promise<void> {
    const { clock, sessions, settings, log, listeners, bridges, elsewhere } = this.parts
    this.startedAt = clock.monotonic()
    this.clientsAtStart = sessions.clientCount
    this.phase = 'announced'
    log.info({ clients: this.clientsAtStart }, 'draining')
    if (settings.noticeSeconds > 0) await this.within(settings.noticeSeconds)
    this.phase = 'leaving'
    for (const listener of listeners) listener.stopAccepting()
    const plan: DeparturePlan = {
      clientsPerSecond: settings.clientsPerSecond,
      withinMs: settings.drainSeconds * 1_000,
      closedWithinMs: settings.graceSeconds * 1_000,
      elsewhere: elsewhere(),
    }
    const leaving = bridges
      .stop()
      .catch((error: unknown) => log.warn({ err: error }, 'the pipelines did not stop cleanly'))
      .then(() => sessions.drain(plan))
      .catch((error: unknown) => {
        log.warn({ err: error }, 'clients could not be asked to leave')
        return false
      })
    const inTime = await this.within(settings.drainSeconds + 2 * settings.graceSeconds, leaving)
    this.phase = 'drained'
    this.endedAt = clock.monotonic()
    const { clients, seconds } = this.status()
    if (inTime) log.info({ clients, seconds }, 'drained')
    else log.warn({ clients, seconds }, 'the drain has taken its time; what is left is ended by force')
  }

  /** What the promise, which does not reject, resolves to; false when that takes so many seconds. Without one: waits. */
  private within(seconds: number, promise?: Promise<boolean>): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.parts.clock.schedule(seconds * 1_000, () => resolve(false))
      void promise?.then((inTime) => {
        timer.cancel()
        resolve(inTime)
      })
    })
  }
}
