import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SequenceQueue } from './sequence-queue.js'

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('push' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), at: fc.nat(200) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('replace' as const), at: fc.nat(200) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('skip' as const), by: fc.nat(5) }) },
)

describe('a sequence queue', () => {
  it('does what a sorted map does', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.nat(200), (steps, cursor) => {
        const queue = new SequenceQueue<number>()
        const model = new Map<number, number>()
        let next = 1
        for (const taken of steps) {
          if (taken.kind === 'push') {
            expect(queue.push(next * 10)).toBe(next)
            model.set(next, next * 10)
            next++
          } else if (taken.kind === 'skip') {
            next += taken.by
            queue.skipTo(next)
          } else if (taken.kind === 'delete') {
            expect(queue.delete(taken.at)).toBe(model.get(taken.at))
            model.delete(taken.at)
          } else {
            queue.replace(taken.at, 7)
            if (model.has(taken.at)) model.set(taken.at, 7)
          }
          const sequences = [...model.keys()]
          expect([queue.size, queue.next, queue.first, queue.last]).toEqual([
            model.size,
            next,
            sequences[0] ?? next,
            sequences.at(-1),
          ])
        }
        expect([...queue.after(0)]).toEqual([...model])
        expect([...queue.after(cursor)]).toEqual([...model].filter(([sequence]) => sequence > cursor))
        for (const sequence of model.keys()) expect(queue.get(sequence)).toBe(model.get(sequence))
      }),
    )
  })

  it('keeps no memory of what passed by one entry that stays', () => {
    const queue = new SequenceQueue<number>()
    queue.push(0)
    for (let i = 0; i < 100_000; i++) queue.delete(queue.push(i))
    expect(queue.slots).toBeLessThan(100)
    expect([...queue.after(0)]).toEqual([[1, 0]])
  })
})
