import type { Clock, Timer } from '../contract/clock.js'
import type { TimerWheel } from './timer-wheel.js'

/**
 * Ends a connection that has been silent for one and a half times its keep-alive [MQTT-3.1.2-24].
 *
 * A packet only notes the time; the timer looks at it when it runs out and goes on for the rest, so that traffic
 * costs no timer operations.
 */
export class KeepAlive {
  private lastHeard: number
  private timer: Timer

  constructor(
    private readonly wheel: TimerWheel,
    private readonly clock: Clock,
    private readonly limitMs: number,
    private readonly onSilence: () => void,
    /** Whether we do not read what the client sends: then it is not silent. */
    private readonly isHeld: () => boolean = () => false,
  ) {
    this.lastHeard = clock.monotonic()
    this.timer = wheel.schedule(limitMs, this.check)
  }

  heard(): void {
    this.lastHeard = this.clock.monotonic()
  }

  stop(): void {
    this.timer.cancel()
  }

  private readonly check = (): void => {
    if (this.isHeld()) this.heard()
    const left = this.lastHeard + this.limitMs - this.clock.monotonic()
    if (left <= 0) this.onSilence()
    else this.timer = this.wheel.schedule(left, this.check)
  }
}
