import type { Clock, Timer } from '../contract/clock.js'
import { Message, type MessageFields } from '../contract/message.js'
import type { Delivery } from '../contract/subscription.js'

/** A clock that a test moves: timers run in the order of their times. */
export class ManualClock implements Clock {
  private time = 1_000_000
  private timers: { at: number; task: () => void }[] = []

  now(): number {
    return this.time
  }

  schedule(delayMs: number, task: () => void): Timer {
    const timer = { at: this.time + delayMs, task }
    this.timers.push(timer)
    return {
      cancel: () => {
        this.timers = this.timers.filter((other) => other !== timer)
      },
    }
  }

  advance(ms: number): void {
    const until = this.time + ms
    for (;;) {
      const next = this.timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.timers = this.timers.filter((other) => other !== next)
      this.time = next.at
      next.task()
    }
    this.time = until
  }

  /** The process was asleep: time has passed, no timer has run. */
  jump(ms: number): void {
    this.time += ms
  }

  get pendingTimers(): number {
    return this.timers.length
  }
}

export function messageOf(payload: string, fields: Partial<MessageFields> = {}): Message {
  return new Message({
    topic: 't',
    payload: Buffer.from(payload),
    qos: 1,
    retain: false,
    receivedAt: 0,
    ...fields,
  })
}

export function deliveryOf(qos: 0 | 1 | 2, sharedFilter?: string): Delivery {
  return { qos, retain: false, identifiers: [], sharedFilter }
}
