import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Schedule, type Scheduled } from './schedule.js'

/** A publisher that has room when it is told so; notes the intended times of what it sends, in ms. */
class FakePublisher implements Scheduled {
  sent = 0
  room = true
  readonly times: number[] = []

  constructor(readonly place: number) {}

  hasRoom(): boolean {
    return this.room
  }

  send(micros: number): void {
    this.sent++
    this.times.push(micros / 1_000)
  }
}

let now = 0
const late: number[] = []

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate'] })
  now = 1_000
  late.length = 0
})
afterEach(() => vi.useRealTimers())

function schedule(messagesPerSecond: number, publishers: readonly FakePublisher[]): Schedule {
  const events = { late: (micros: number) => void late.push(micros / 1_000), flush: () => {} }
  return new Schedule(messagesPerSecond, publishers, events, () => now)
}

function passTo(time: number): void {
  now = time
  vi.runOnlyPendingTimers()
}

describe('a schedule', () => {
  it('gives each message its time, publishers in turn', () => {
    const publishers = [new FakePublisher(0), new FakePublisher(1)]
    const sending = schedule(100, publishers)
    sending.start()
    passTo(1_035)
    expect(publishers.map(({ times }) => times)).toEqual([
      [1_000, 1_020],
      [1_010, 1_030],
    ])
    sending.stop()
    passTo(1_500)
    expect(publishers[0]!.sent).toBe(2)
  })

  it('sends what a publisher could not with the time at which it was due', () => {
    const [stuck, free] = [new FakePublisher(0), new FakePublisher(1)]
    const sending = schedule(100, [stuck, free])
    stuck.room = false
    sending.start()
    passTo(1_055)
    expect([stuck.times, free.times]).toEqual([[], [1_010, 1_030, 1_050]])
    late.length = 0
    stuck.room = true
    sending.catchUp(stuck)
    expect(stuck.times).toEqual([1_000, 1_020, 1_040])
    expect(late).toEqual([55, 35, 15])
    sending.stop()
  })

  it('says how late it is itself', () => {
    const publisher = new FakePublisher(0)
    const sending = schedule(100, [publisher])
    sending.start()
    passTo(1_025)
    expect(publisher.times).toEqual([1_000, 1_010, 1_020])
    expect(late).toEqual([0, 15, 5])
    sending.stop()
  })
})
