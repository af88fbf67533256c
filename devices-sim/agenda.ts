import type { Clock, Timer } from '../broker/contract/clock.js'

/** Something to be done at a time; an entry is on the agenda at most once. */
export interface Appointment {
  /** Milliseconds since the epoch; written by the agenda only. */
  due: number
  /** Place in the heap, -1 while not on the agenda; written by the agenda only. */
  position: number
  run(): void
}

/** Longest sleep in one go: the wall clock may be set meanwhile. */
const LONGEST_SLEEP_MS = 60_000

/**
 * One timer for all devices: a binary heap by due time. With 2,000 devices Node's own timers make a list for each
 * distinct duration, and jitter makes nearly every duration distinct.
 */
export class Agenda {
  private readonly heap: Appointment[] = []
  private timer: Timer | undefined
  private wakesAt = Infinity

  constructor(private readonly clock: Clock) {}

  /** Puts the appointment on the agenda, or moves it. */
  at(due: number, appointment: Appointment): void {
    this.remove(appointment)
    appointment.due = due
    appointment.position = this.heap.length
    this.heap.push(appointment)
    this.rise(appointment)
    this.sleep()
  }

  cancel(appointment: Appointment): void {
    this.remove(appointment)
    this.sleep()
  }

  /** Forgets everything. */
  clear(): void {
    for (const appointment of this.heap) appointment.position = -1
    this.heap.length = 0
    this.sleep()
  }

  private readonly wake = (): void => {
    this.wakesAt = Infinity
    const now = this.clock.now()
    for (let first = this.heap[0]; first !== undefined && first.due <= now; first = this.heap[0]) {
      this.remove(first)
      first.run()
    }
    this.sleep()
  }

  private sleep(): void {
    const due = this.heap[0]?.due ?? Infinity
    if (due === this.wakesAt) return
    this.timer?.cancel()
    this.wakesAt = due
    this.timer =
      due === Infinity
        ? undefined
        : this.clock.schedule(Math.min(LONGEST_SLEEP_MS, Math.max(0, due - this.clock.now())), this.wake)
  }

  private remove(appointment: Appointment): void {
    const { position } = appointment
    if (position < 0) return
    appointment.position = -1
    const last = this.heap.pop()
    if (last === undefined || last === appointment) return
    this.heap[position] = last
    last.position = position
    this.rise(last)
    this.sink(last)
  }

  private rise(appointment: Appointment): void {
    while (appointment.position > 0) {
      const parent = this.heap[(appointment.position - 1) >> 1]
      if (parent === undefined || parent.due <= appointment.due) return
      this.swap(parent, appointment)
    }
  }

  private sink(appointment: Appointment): void {
    for (;;) {
      const left = this.heap[2 * appointment.position + 1]
      const right = this.heap[2 * appointment.position + 2]
      const child = right !== undefined && left !== undefined && right.due < left.due ? right : left
      if (child === undefined || child.due >= appointment.due) return
      this.swap(appointment, child)
    }
  }

  private swap(upper: Appointment, lower: Appointment): void {
    const { position } = upper
    upper.position = lower.position
    lower.position = position
    this.heap[upper.position] = upper
    this.heap[lower.position] = lower
  }
}
