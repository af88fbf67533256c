import type { Clock, Timer } from '../../contract/clock.js'
import type { StoreEvents } from '../../contract/events.js'
import type { RedisClient } from './connection.js'
import type { Layout } from './layout.js'
import { script, type RedisLink } from './link.js'
import { refusedRights } from './rights.js'
import { inspectRedis, mastersOf } from './suitability.js'

/** Milliseconds between two looks at the settings, and between two questions whether it is there; sooner while it is not. */
const INSPECTION_MS = 30_000
const PROBE_MS = 2_000
const PROBE_AGAIN_MS = 250

/** Changes nothing, and is refused like every write. */
const TOUCH = script(`return redis.call('SET', KEYS[1], '1', 'XX')`)

/**
 * Keeps an eye on Redis while nobody writes: readiness is to tell before the next message comes, and somebody may
 * change its settings under a running gateway.
 */
export class Vigil {
  private readonly timers = new Map<() => Promise<void>, Timer>()
  private readonly risksTold = new Set<string>()
  /** What is wrong with its settings and can be lived with, as last seen. */
  risks: readonly string[] = []
  private stopped = false

  constructor(
    private readonly client: RedisClient,
    private readonly address: string,
    private readonly link: RedisLink,
    private readonly layout: Layout,
    private readonly clock: Clock,
    private readonly events: StoreEvents,
  ) {}

  /** Looks for the first time, and goes on. */
  async start(): Promise<void> {
    await this.repeat(this.inspect, () => INSPECTION_MS)
    await this.repeat(this.probe, () => (this.link.failure === undefined ? PROBE_MS : PROBE_AGAIN_MS))
  }

  stop(): void {
    this.stopped = true
    for (const timer of this.timers.values()) timer.cancel()
  }

  private async repeat(look: () => Promise<void>, pauseMs: () => number): Promise<void> {
    try {
      await look()
    } catch (error) {
      this.link.failed(error)
    }
    if (!this.stopped)
      this.timers.set(
        look,
        this.clock.schedule(pauseMs(), () => void this.repeat(look, pauseMs)),
      )
  }

  private readonly inspect = async (): Promise<void> => {
    const { fault, risks } = await inspectRedis(this.client, this.address)
    this.link.setFault(fault)
    this.risks = risks
    for (const risk of risks) {
      if (!this.risksTold.has(risk)) this.events.risk(risk)
      this.risksTold.add(risk)
    }
  }

  private readonly probe = async (): Promise<void> => {
    const masters = mastersOf(this.client)
    if (masters.length === 0) throw new Error('no master is known')
    await Promise.all(masters.map((master) => master.ping()))
    this.link.answered()
    if (this.link.isRefused) {
      const lacking = await refusedRights(this.client, this.layout.probes, this.layout.channel)
      if (lacking.length > 0) {
        this.link.lacks(lacking)
        return
      }
    }
    const [first = '', ...others] = this.layout.probes
    // Replicas are waited for once: a WAIT in vain holds up the connection for a second.
    await Promise.all([this.link.write(TOUCH, first), ...others.map((key) => this.link.run(TOUCH, key))])
    this.link.probed()
  }
}
