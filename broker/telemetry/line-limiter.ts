import type { Clock, Timer } from '../contract/clock.js'

export interface LineBounds {
  /** Lines of one event and one key (a client, an address) in a window. */
  readonly perKey: number
  /** Lines of one event in a window, whatever the key. */
  readonly perEvent: number
}

/** What was left out of the log in a window. */
export interface Suppressed {
  readonly event: string
  readonly lines: number
  readonly seconds: number
}

interface EventWindow {
  admitted: number
  suppressed: number
  /** Lines by key. No key is here without an admitted line, so it holds at most `perEvent`. */
  readonly keys: Map<string, number>
}

/**
 * Bounds what clients can make the log write: in a window of ten seconds only so many lines of an event, and then one
 * line with the number of those left out. Memory: events are the functions of our own interfaces, keys are bounded by
 * the admitted lines, and all of it is forgotten when the window ends.
 */
export class LineLimiter {
  private readonly events = new Map<string, EventWindow>()
  private timer: Timer | undefined

  constructor(
    private readonly clock: Clock,
    private readonly report: (suppressed: Suppressed) => void,
  ) {}

  admit(event: string, key: string, bounds: LineBounds): boolean {
    this.timer ??= this.clock.schedule(WINDOW_MS, () => {
      this.timer = undefined
      this.endWindow()
    })
    let window = this.events.get(event)
    if (window === undefined)
      this.events.set(event, (window = { admitted: 0, suppressed: 0, keys: new Map() }))
    const ofKey = window.keys.get(key) ?? 0
    if (ofKey >= bounds.perKey || window.admitted >= bounds.perEvent) {
      window.suppressed++
      return false
    }
    window.admitted++
    window.keys.set(key, ofKey + 1)
    return true
  }

  /** Reports what is pending. The limiter can be used again. */
  stop(): void {
    this.timer?.cancel()
    this.timer = undefined
    this.endWindow()
  }

  private endWindow(): void {
    const ended = [...this.events]
    this.events.clear()
    for (const [event, { suppressed }] of ended)
      if (suppressed > 0) this.report({ event, lines: suppressed, seconds: WINDOW_MS / 1_000 })
  }
}

const WINDOW_MS = 10_000
