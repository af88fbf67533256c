import { describe, expect, it } from 'vitest'
import { VolatileQueue, type QueueBounds } from './delivery-queue.js'
import { deliveryOf, messageOf } from './testing.js'

const EVERYTHING = { messages: Infinity, bytes: Infinity }

function queueOf(bounds: Partial<QueueBounds> = {}) {
  const dropped: number[] = []
  const queue = new VolatileQueue({ messages: 3, bytes: 100, whenFull: 'drop-oldest', ...bounds }, (n) =>
    dropped.push(n),
  )
  let sequence = 0
  const add = (payload: string) => queue.add(++sequence, messageOf(payload), deliveryOf(1))
  const read = (limit = EVERYTHING) => queue.read(0, limit).map(({ message }) => String(message?.payload))
  return { queue, dropped, add, read }
}

describe('VolatileQueue', () => {
  it('hands out entries once, in order, within the limits of a read', () => {
    const { add, read, queue } = queueOf()
    for (const payload of ['one', 'two', 'three']) add(payload)
    expect(read({ messages: 1, bytes: 1 })).toEqual(['one'])
    expect(read({ messages: 5, bytes: 5 })).toEqual(['two'])
    expect(read()).toEqual(['three'])
    expect(queue.size).toBe(0)
  })

  it('makes room by dropping the oldest, and counts them', () => {
    const { add, read, dropped } = queueOf()
    for (const payload of ['1', '2', '3', '4', 'x'.repeat(99)]) add(payload)
    expect(read()).toEqual(['4', 'x'.repeat(99)])
    expect(dropped.reduce((sum, n) => sum + n, 0)).toBe(3)
  })

  it('refuses new ones where that is the policy', () => {
    const { add, read, dropped } = queueOf({ whenFull: 'refuse-new' })
    for (const payload of ['1', '2', '3', '4']) add(payload)
    expect(read()).toEqual(['1', '2', '3'])
    expect(dropped).toEqual([1])
  })

  it('never takes a message larger than itself, and drops nothing for it', () => {
    const { add, read } = queueOf()
    add('1')
    add('x'.repeat(101))
    expect(read()).toEqual(['1'])
  })

  it('stays in order over many turns', () => {
    const { add, read } = queueOf({ messages: 1_000, bytes: 1e6 })
    const seen: string[] = []
    for (let i = 0; i < 1_000; i++) {
      add(String(i))
      if (i % 3 === 0) seen.push(...read({ messages: 2, bytes: 1e6 }))
    }
    seen.push(...read())
    expect(seen).toEqual(Array.from({ length: 1_000 }, (_, i) => String(i)))
  })
})
