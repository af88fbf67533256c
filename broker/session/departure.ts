import type { Clock } from '../contract/clock.js'
import { ReasonCode } from '../wire/reason-codes.js'
import type { SessionClient } from './session-table.js'
import type { Sessions } from './sessions.js'

export interface DeparturePlan {
  readonly clientsPerSecond: number
  /** Everybody has been asked by then, at a higher pace where it has to be. Milliseconds. */
  readonly withinMs: number
  /** How long the sessions of those who were asked may take to be closed: a store that is away closes none. Milliseconds. */
  readonly closedWithinMs: number
  /** Whether other nodes take the clients: MQTT 5 ones are told to use another server. */
  readonly elsewhere: boolean
}

/** Between two groups of clients that are asked to leave, milliseconds. */
const STEP_MS = 100

/**
 * Asks all clients to leave at a bounded pace: those that come back at once, to another node or to the next process,
 * are a storm otherwise. Sessions are closed and wills kept as at a shutdown.
 */
export class Departure {
  private reason: number | undefined
  private readonly asked = new Set<SessionClient>()

  constructor(
    private readonly sessions: Pick<Sessions, 'clients' | 'lock'>,
    private readonly clock: Pick<Clock, 'monotonic' | 'schedule'>,
  ) {}

  /** What CONNECT is answered; undefined while clients are welcome. */
  get refusal(): number | undefined {
    // 0x8B is no reason code of CONNACK [MQTT-3.2.2-8].
    return this.reason === ReasonCode.ServerShuttingDown ? ReasonCode.ServerUnavailable : this.reason
  }

  /** Resolves when no client is connected: whether every session has been closed. Call it once. */
  async run({ clientsPerSecond, withinMs, closedWithinMs, elsewhere }: DeparturePlan): Promise<boolean> {
    this.reason = elsewhere ? ReasonCode.UseAnotherServer : ReasonCode.ServerShuttingDown
    const begun = this.clock.monotonic()
    let waiting = this.unasked()
    const perMs = Math.max(clientsPerSecond / 1_000, waiting.length / withinMs)
    do {
      for (let next = 0; next < waiting.length;) {
        if (next > 0) await this.pause()
        const dueByNow = Math.ceil((this.clock.monotonic() - begun + STEP_MS) * perMs)
        const group = waiting.slice(next, next + Math.max(1, dueByNow - this.asked.size))
        for (const client of group) this.ask(client)
        next += group.length
      }
      if (!(await this.idleWithin(closedWithinMs))) return false
      // Whoever was in the middle of CONNECT; after that nobody can be.
      waiting = this.unasked()
    } while (waiting.length > 0)
    return true
  }

  /** Whether nothing was under way for any client in that time. */
  private idleWithin(milliseconds: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.clock.schedule(milliseconds, () => resolve(false))
      void this.sessions.lock.idle().then(() => {
        timer.cancel()
        resolve(true)
      })
    })
  }

  private unasked(): SessionClient[] {
    return [...this.sessions.clients()].filter((client) => !this.asked.has(client))
  }

  private ask(client: SessionClient): void {
    this.asked.add(client)
    client.connection.end('server_shutdown', this.reason ?? ReasonCode.ServerShuttingDown)
    // The end of the connection waits for the same release, and tells of a failure.
    this.sessions.lock.run(client.clientId, () => client.connection.release()).catch(() => {})
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      this.clock.schedule(STEP_MS, resolve)
    })
  }
}
