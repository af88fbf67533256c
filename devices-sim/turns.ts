import type { Clock } from '../broker/contract/clock.js'
import type { Agenda, Appointment } from './agenda.js'

/** Handshakes under way at a time, whatever the rate: a broker that stalls is not piled upon. */
const MAX_CONNECTING = 256

/**
 * Lets devices connect one after another, at a bounded rate and a bounded number at a time. First come, first
 * served; used at the start as well as after an outage.
 */
export class Turns<Member> {
  private readonly waiting = new Set<Member>()
  private readonly connecting = new Set<Member>()
  private readonly next: Appointment = { due: 0, position: -1, run: () => this.give() }
  private nextAt = 0

  constructor(
    private readonly clock: Clock,
    private readonly agenda: Agenda,
    private readonly perSecond: number,
    private readonly begin: (member: Member) => void,
  ) {}

  request(member: Member): void {
    this.waiting.add(member)
    this.plan()
  }

  ended(member: Member): void {
    this.connecting.delete(member)
    this.plan()
  }

  private plan(): void {
    if (this.waiting.size === 0 || this.connecting.size >= MAX_CONNECTING || this.next.position >= 0) return
    this.agenda.at(Math.max(this.clock.now(), this.nextAt), this.next)
  }

  private give(): void {
    const now = this.clock.now()
    // After a delay the missed turns are made up for, up to a tenth of a second's worth.
    this.nextAt = Math.max(this.nextAt, now - 100) + 1_000 / this.perSecond
    for (const member of this.waiting) {
      this.waiting.delete(member)
      this.connecting.add(member)
      this.begin(member)
      break
    }
    this.plan()
  }
}
