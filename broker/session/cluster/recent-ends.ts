import type { Clock } from '../../contract/clock.js'

/** Longer than the bus holds a message back while Redis is away, milliseconds. */
const REMEMBERED_MS = 60_000
/** Client ids of a generation; beyond it the generation before is forgotten early. */
const MOST = 100_000

/**
 * Client ids whose durable sessions have ended a short while ago. A live copy that another node has sent to such a
 * session may still be under way, and its sequence number means nothing to the next session of the client.
 */
export class RecentEnds {
  private current = new Set<string>()
  private former = new Set<string>()
  private turnedAt: number

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {
    this.turnedAt = clock.monotonic()
  }

  add(clientId: string): void {
    this.turn()
    this.current.add(clientId)
  }

  /** Until when live copies for the client are not to be trusted, by the monotonic clock; undefined: they are. */
  distrustedUntil(clientId: string): number | undefined {
    this.turn()
    const ended = this.current.has(clientId) || this.former.has(clientId)
    return ended ? this.clock.monotonic() + REMEMBERED_MS : undefined
  }

  private turn(): void {
    const age = this.clock.monotonic() - this.turnedAt
    if (age < REMEMBERED_MS && this.current.size < MOST) return
    this.former = age < 2 * REMEMBERED_MS ? this.current : new Set()
    this.current = new Set()
    this.turnedAt = this.clock.monotonic()
  }
}
