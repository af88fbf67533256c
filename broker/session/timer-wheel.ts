import type { Clock, Timer } from '../contract/clock.js'

const SLOTS = 512

/**
 * A tick that is this late comes from a process that was paused (a suspended machine, SIGSTOP, a blocked event loop).
 * Sockets are read before timers run then: a client that has pinged all along must not count as silent.
 */
const PAUSE_MS = 1_000

/**
 * Many coarse timers on one system timer: keep-alive, session expiry, will delay, end of authorisation.
 *
 * 100,000 connections would otherwise be 100,000 entries of the event loop's timer heap that are moved with each
 * packet. A task runs at its time or up to one tick later, never earlier. The wheel stands still while it is empty.
 */
export class TimerWheel {
  private readonly slots: Set<WheelTimer>[] = Array.from({ length: SLOTS }, () => new Set())
  private position = 0
  private count = 0
  private positionTime = 0
  private ticking: Timer | undefined
  /** The process has been paused, and had one tick to read what came meanwhile. */
  private resuming = false

  /** `tickMs`: resolution in milliseconds. */
  constructor(
    private readonly clock: Clock,
    private readonly tickMs: number,
    /** A task that throws is a defect: it is told here and disturbs no other timer. */
    private readonly onDefect: (error: unknown) => void,
  ) {}

  /** Runs `task` once after `delayMs` milliseconds; any length. */
  schedule(delayMs: number, task: () => void): Timer {
    if (this.count === 0) {
      this.positionTime = this.clock.monotonic()
      this.resuming = false
    }
    const dueIn = Math.max(delayMs, 0) + (this.clock.monotonic() - this.positionTime)
    const ticks = Math.max(1, Math.ceil(dueIn / this.tickMs))
    const slot = this.slots[(this.position + ticks) % SLOTS] as Set<WheelTimer>
    const timer = new WheelTimer(this, slot, Math.ceil(ticks / SLOTS) - 1, task)
    slot.add(timer)
    this.count++
    this.ticking ??= this.clock.schedule(this.tickMs, this.advance)
    return timer
  }

  /** Forgets every timer. */
  stop(): void {
    this.ticking?.cancel()
    this.ticking = undefined
    for (const slot of this.slots) slot.clear()
    this.count = 0
  }

  /** For `WheelTimer` only. */
  remove(slot: Set<WheelTimer>, timer: WheelTimer): void {
    if (slot.delete(timer) && --this.count === 0) {
      this.ticking?.cancel()
      this.ticking = undefined
    }
  }

  private readonly advance = (): void => {
    this.ticking = undefined
    const now = this.clock.monotonic()
    if (now - this.positionTime > PAUSE_MS && !this.resuming) {
      this.resuming = true
      this.ticking = this.clock.schedule(this.tickMs, this.advance)
      return
    }
    this.resuming = false
    // What is behind is caught up slot by slot, at most once around per tick.
    for (let steps = 0; this.count > 0 && this.positionTime + this.tickMs <= now && steps < SLOTS; steps++) {
      this.positionTime += this.tickMs
      this.position = (this.position + 1) % SLOTS
      this.fire(this.slots[this.position] as Set<WheelTimer>)
    }
    if (this.count > 0) this.ticking = this.clock.schedule(this.tickMs, this.advance)
  }

  private fire(slot: Set<WheelTimer>): void {
    for (const timer of [...slot]) {
      if (timer.rounds-- > 0 || !slot.delete(timer)) continue
      this.count--
      try {
        timer.task()
      } catch (error) {
        this.onDefect(error)
      }
    }
  }
}

class WheelTimer implements Timer {
  constructor(
    private readonly wheel: TimerWheel,
    private readonly slot: Set<WheelTimer>,
    public rounds: number,
    readonly task: () => void,
  ) {}

  cancel(): void {
    this.wheel.remove(this.slot, this)
  }
}
