import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { QueueEntry, WriteDone } from '../contract/store.js'
import { VolatileQueue, type DeliveryQueue } from './delivery-queue.js'
import { Deliveries, type DeliveryOptions } from './deliveries.js'
import { deliveryOf, messageOf } from './testing.js'

/** A stored queue whose reads are answered when the test says so. */
class FakeQueue implements DeliveryQueue {
  readonly entries = new Map<number, QueueEntry>()
  private reads: (() => void)[] = []
  sequence = 0

  add(payload: string, qos: 1 | 2 = 1): number {
    const sequence = ++this.sequence
    this.entries.set(sequence, { sequence, message: messageOf(payload, { qos }), delivery: deliveryOf(qos) })
    return sequence
  }

  read(after: number, limit: { messages: number }): Promise<QueueEntry[]> {
    return new Promise((resolve) => {
      this.reads.push(() => {
        const found = [...this.entries.values()].filter(({ sequence }) => sequence > after)
        resolve(found.slice(0, limit.messages))
      })
    })
  }

  async answerReads(): Promise<void> {
    while (this.reads.length > 0) {
      for (const answer of this.reads.splice(0)) answer()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  settle(sequence: number, done: WriteDone): void {
    this.entries.delete(sequence)
    done(undefined)
  }

  release(sequence: number, done: WriteDone): void {
    const entry = this.entries.get(sequence)
    if (entry !== undefined) this.entries.set(sequence, { ...entry, message: undefined })
    done(undefined)
  }
}

interface Sent {
  readonly payload: string
  readonly packetId: number
  readonly dup: boolean
}

function deliveriesOf(queue: FakeQueue, options: Partial<DeliveryOptions> = {}) {
  const sent: Sent[] = []
  const released: number[] = []
  const link = {
    writable: true,
    caughtUp: () => {},
    sendPublish: (message: { payload: Buffer }, _delivery: unknown, packetId: number, dup: boolean) => {
      sent.push({ payload: String(message.payload), packetId, dup })
      return true
    },
    sendPubRel: (packetId: number) => released.push(packetId),
    failed: (error: Error) => expect.unreachable(error.message),
  }
  const deliveries = new Deliveries(queue, link, {
    window: 2,
    settledUpTo: 0,
    maybeSentUpTo: 0,
    sentUpTo: 0,
    ...options,
  })
  const offer = (payload: string, qos: 1 | 2 = 1) => {
    const sequence = queue.add(payload, qos)
    const entry = queue.entries.get(sequence)
    if (entry?.message === undefined) throw new Error('unreachable')
    if (!deliveries.offer(sequence, entry.message, entry.delivery)) deliveries.resume()
  }
  return { deliveries, link, sent, released, offer, payloads: () => sent.map(({ payload }) => payload) }
}

describe('Deliveries', () => {
  it('sends live messages at once while the window is open, and the rest when it opens', async () => {
    const queue = new FakeQueue()
    const { deliveries, offer, payloads } = deliveriesOf(queue)
    deliveries.resume()
    await queue.answerReads()
    for (const payload of ['1', '2', '3', '4']) offer(payload)
    expect(payloads()).toEqual(['1', '2'])
    deliveries.acknowledged(1)
    await queue.answerReads()
    expect(payloads()).toEqual(['1', '2', '3'])
    deliveries.acknowledged(2)
    deliveries.acknowledged(3)
    await queue.answerReads()
    expect(payloads()).toEqual(['1', '2', '3', '4'])
  })

  it('[MQTT-4.4.0-1] resumes in the original order with the same packet identifiers, DUP set on what may have been sent', async () => {
    const queue = new FakeQueue()
    for (const payload of ['1', '2', '3']) queue.add(payload)
    queue.entries.delete(1)
    const { deliveries, sent } = deliveriesOf(queue, { settledUpTo: 1, maybeSentUpTo: 2 })
    deliveries.resume()
    await queue.answerReads()
    expect(sent).toEqual([
      { payload: '2', packetId: 2, dup: true },
      { payload: '3', packetId: 3, dup: false },
    ])
  })

  it('[MQTT-4.3.3-1] carries QoS 2 through PUBREC, PUBREL, PUBCOMP, and answers a PUBREC that comes twice', async () => {
    const queue = new FakeQueue()
    const { deliveries, offer, released } = deliveriesOf(queue)
    deliveries.resume()
    await queue.answerReads()
    offer('x', 2)
    expect(deliveries.acknowledged(1)).toBeUndefined()
    expect(deliveries.completed(1)).toBeUndefined()
    expect(deliveries.received(1, 0)).toBe(true)
    expect(deliveries.received(1, 0)).toBe(true)
    expect(released).toEqual([1, 1])
    expect(deliveries.completed(1)).toEqual({ message: undefined })
    expect(queue.entries.size).toBe(0)
  })

  it('forgets what waits, and sends what comes after it', async () => {
    const queue = new FakeQueue()
    for (const payload of ['a', 'b', 'c']) queue.add(payload)
    const { deliveries, offer, sent } = deliveriesOf(queue)
    const discarded = deliveries.discardWaiting()
    await queue.answerReads()
    await queue.answerReads()
    await discarded
    await queue.answerReads()
    expect(queue.entries.size).toBe(0)
    offer('d')
    expect(sent.map(({ payload }) => payload)).toEqual(['d'])
  })

  it('sends PUBREL again, not the message, for what was released before', async () => {
    const queue = new FakeQueue()
    const sequence = queue.add('x', 2)
    queue.release(sequence, () => {})
    const { deliveries, released, sent } = deliveriesOf(queue)
    deliveries.resume()
    await queue.answerReads()
    expect(sent).toEqual([])
    expect(released).toEqual([1])
  })

  it('waits while the socket takes nothing', async () => {
    const queue = new FakeQueue()
    const { deliveries, link, offer, payloads } = deliveriesOf(queue)
    deliveries.resume()
    await queue.answerReads()
    link.writable = false
    offer('1')
    expect(payloads()).toEqual([])
    link.writable = true
    deliveries.drained()
    await queue.answerReads()
    expect(payloads()).toEqual(['1'])
  })

  it('goes past entries that have expired', async () => {
    const queue = new FakeQueue()
    const { deliveries, offer, payloads } = deliveriesOf(queue, { window: 1 })
    deliveries.resume()
    await queue.answerReads()
    for (const payload of ['1', '2', '3']) offer(payload)
    queue.entries.delete(2)
    queue.entries.delete(3)
    deliveries.acknowledged(1)
    await queue.answerReads()
    offer('4')
    await queue.answerReads()
    expect(payloads()).toEqual(['1', '4'])
  })

  it('loses nothing of a queue in memory when a packet identifier is still in use', () => {
    const queue = new VolatileQueue({ messages: 100, bytes: 1_000, whenFull: 'drop-oldest' }, () =>
      expect.unreachable(),
    )
    const sent: string[] = []
    const identifiers: number[] = []
    const link = {
      writable: true,
      caughtUp: () => {},
      sendPublish: (message: { payload: Buffer }, _delivery: unknown, packetId: number) => {
        sent.push(String(message.payload))
        identifiers.push(packetId)
        return true
      },
      sendPubRel: () => {},
      failed: (error: Error) => expect.unreachable(error.message),
    }
    const options = { window: 3, settledUpTo: 0, maybeSentUpTo: 0, sentUpTo: 0 }
    const deliveries = new Deliveries(queue, link, options)
    deliveries.resume()
    const total = 65_540
    for (let sequence = 1; sequence <= total; sequence++) {
      const message = messageOf(String(sequence))
      if (!deliveries.offer(sequence, message, deliveryOf(1))) {
        queue.add(sequence, message, deliveryOf(1))
        deliveries.resume()
      }
      // The first one is never acknowledged; the others until the same identifier would come again.
      if (sequence > 1 && sequence <= 65_535) deliveries.acknowledged(sequence)
    }
    expect(sent.length).toBe(65_535)
    deliveries.acknowledged(1)
    for (const packetId of [1, 2, 3, 4, 5]) deliveries.acknowledged(packetId)
    expect(sent.slice(-5)).toEqual(['65536', '65537', '65538', '65539', '65540'])
    expect(identifiers.slice(-5)).toEqual([1, 2, 3, 4, 5])
  })

  it('delivers every message once and in order, whatever the timing', async () => {
    const action = fc.constantFrom('offer', 'offer', 'ack', 'read', 'block', 'drain')
    await fc.assert(
      fc.asyncProperty(
        fc.array(action, { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        async (actions, window) => {
          const queue = new FakeQueue()
          const { deliveries, link, sent, offer, payloads } = deliveriesOf(queue, { window })
          deliveries.resume()
          let offered = 0
          let acknowledged = 0
          const acknowledge = () => {
            const next = sent[acknowledged]
            if (next === undefined) return false
            acknowledged++
            deliveries.acknowledged(next.packetId)
            return true
          }
          for (const step of actions) {
            if (step === 'offer') offer(String(++offered))
            else if (step === 'ack') acknowledge()
            else if (step === 'read') await queue.answerReads()
            else if (step === 'block') link.writable = false
            else {
              link.writable = true
              deliveries.drained()
            }
            expect(deliveries.inflightCount).toBeLessThanOrEqual(window)
          }
          link.writable = true
          deliveries.drained()
          do await queue.answerReads()
          while (acknowledge())
          expect(payloads()).toEqual(Array.from({ length: offered }, (_, i) => String(i + 1)))
          expect(queue.entries.size).toBe(0)
        },
      ),
      { numRuns: 300 },
    )
  })
})
