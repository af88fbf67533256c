import { describe, expect, it } from 'vitest'
import { unique, useGateway } from './harness/gateway.js'
import type { RawClient } from './harness/raw-client.js'

const gateway = useGateway({ limits: { outboxSoftBytes: 262_144, queuedMessages: 1_000 } })

const MESSAGES = 300
const KIB = 1_024
/** More than the kernel takes for a receiver that does not read, on loopback. */
const FILLING_BYTES = 24 * KIB * KIB

/**
 * How long each message is under way to the slowest of `receivers`, in turns of the event loop that this test shares
 * with the gateway: what a gateway that waits for somebody cannot hide, and what other work on the machine does not
 * change. Sorted.
 */
async function turnsUnderWay(
  publisher: RawClient,
  receivers: readonly RawClient[],
  topic: string,
  qos: 0 | 1,
): Promise<readonly number[]> {
  const counted: number[] = []
  for (let i = 0; i < MESSAGES; i++) {
    let missing = receivers.length
    for (const receiver of receivers)
      void receiver.nextPublish(topic).then(async (message) => {
        missing--
        await receiver.acknowledge(message)
      })
    publisher.publish(topic, Buffer.alloc(64), { qos })
    let turns = 0
    for (; missing > 0; turns++) await new Promise(setImmediate)
    counted.push(turns)
    if (qos === 1) await publisher.next('puback')
  }
  return counted.sort((a, b) => a - b)
}

function share(sorted: readonly number[], part: number): number {
  return sorted[Math.floor(part * (sorted.length - 1))] ?? NaN
}

describe.each([0, 1] as const)('receivers of QoS %i that have stopped reading', (qos) => {
  it('delay nobody else: messages are under way for as many turns as without them', async () => {
    const topic = unique('slow')
    const publisher = await gateway.connect()
    const readers = await Promise.all(Array.from({ length: 4 }, () => gateway.connect()))
    const stopped = await Promise.all(Array.from({ length: 3 }, () => gateway.connect()))
    for (const reader of readers) await reader.subscribe(topic, qos)
    const before = await turnsUnderWay(publisher, readers, topic, qos)

    for (const each of stopped) {
      await each.subscribe(topic, qos)
      each.socket.pause()
    }
    const large = Buffer.alloc(32 * KIB)
    for (let sent = 0; sent < FILLING_BYTES; sent += large.length) {
      publisher.publish(topic, large, { qos })
      for (const reader of readers) await reader.acknowledge(await reader.nextPublish(topic))
      if (qos === 1) await publisher.next('puback')
    }
    const during = await turnsUnderWay(publisher, readers, topic, qos)

    for (const each of stopped) await each.abort()
    const after = await turnsUnderWay(publisher, readers, topic, qos)
    // The noise is what the same work shows twice without them; and a turn, which is what the clock can tell.
    for (const part of [0.5, 0.99])
      expect(share(during, part)).toBeLessThanOrEqual(Math.max(share(before, part), share(after, part)) + 1)
  })
})
