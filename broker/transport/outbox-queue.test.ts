import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ENTRY_OVERHEAD, LARGE_ENTRY, OutboxQueue } from './outbox-queue.js'

const ANY = Number.MAX_SAFE_INTEGER

function queueOf(...entries: readonly [text: string, droppable: boolean][]): OutboxQueue {
  const queue = new OutboxQueue()
  for (const [text, droppable] of entries) queue.push(Buffer.from(text), droppable)
  return queue
}

function texts(batch: readonly Buffer[]): string[] {
  return batch.map(String)
}

describe('take', () => {
  it('takes everything in order and leaves nothing', () => {
    const queue = queueOf(['a', true], ['b', false], ['c', true])
    expect(texts(queue.take(ANY))).toEqual(['a', 'b', 'c'])
    expect(queue).toMatchObject({ length: 0, bytes: 0, weight: 0 })
    expect(queue.take(ANY)).toEqual([])
  })

  it('stops before the bytes exceed the maximum, but takes at least one entry', () => {
    const queue = queueOf(['aaaa', true], ['bb', true], ['cc', true])
    expect(texts(queue.take(3))).toEqual(['aaaa'])
    expect(texts(queue.take(3))).toEqual(['bb'])
    expect(texts(queue.take(3))).toEqual(['cc'])
  })

  it('takes large entries alone', () => {
    const queue = queueOf(['a', false])
    queue.push(Buffer.alloc(LARGE_ENTRY), false)
    queue.push(Buffer.from('b'), false)
    expect(texts(queue.take(ANY))).toEqual(['a'])
    expect(queue.take(ANY).map((entry) => entry.length)).toEqual([LARGE_ENTRY])
    expect(texts(queue.take(ANY))).toEqual(['b'])
  })
})

describe('shed', () => {
  it('drops the oldest droppable entries, no more than needed', () => {
    const queue = queueOf(['a', true], ['b', false], ['c', true], ['d', true])
    expect(queue.shed(2 + 2 * ENTRY_OVERHEAD)).toBe(2)
    expect(texts(queue.take(ANY))).toEqual(['b', 'd'])
  })

  it('leaves what may not be dropped, whatever the limit', () => {
    const queue = queueOf(['a', false], ['b', true], ['c', false])
    expect(queue.shed(0)).toBe(1)
    expect(texts(queue.take(ANY))).toEqual(['a', 'c'])
  })
})

it('behaves as a plain list would', () => {
  const operation = fc.oneof(
    { weight: 5, arbitrary: fc.record({ push: fc.nat({ max: 40 }), droppable: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ take: fc.nat({ max: 400 }) }) },
    { weight: 1, arbitrary: fc.record({ shed: fc.nat({ max: 4_000 }) }) },
  )
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 400, size: 'max' }), (operations) => {
      const queue = new OutboxQueue()
      let model: { bytes: Buffer; droppable: boolean }[] = []
      for (const step of operations) {
        if ('push' in step) {
          const entry = { bytes: Buffer.alloc(step.push), droppable: step.droppable }
          queue.push(entry.bytes, entry.droppable)
          model.push(entry)
        } else if ('take' in step) {
          const batch = queue.take(step.take)
          expect(batch).toEqual(model.splice(0, batch.length).map(({ bytes }) => bytes))
        } else {
          let weight = model.reduce((sum, { bytes }) => sum + bytes.length + ENTRY_OVERHEAD, 0)
          const kept: typeof model = []
          for (const entry of model) {
            if (weight > step.shed && entry.droppable) weight -= entry.bytes.length + ENTRY_OVERHEAD
            else kept.push(entry)
          }
          expect(queue.shed(step.shed)).toBe(model.length - kept.length)
          model = kept
        }
        expect(queue.length).toBe(model.length)
        expect(queue.bytes).toBe(model.reduce((sum, { bytes }) => sum + bytes.length, 0))
      }
    }),
    { numRuns: 100 },
  )
})

it('does not grow while entries come and are shed and nothing is taken', () => {
  const queue = new OutboxQueue()
  queue.push(Buffer.from('first'), false)
  for (let i = 0; i < 10_000; i++) {
    queue.push(Buffer.from('x'), true)
    queue.shed(10 * ENTRY_OVERHEAD)
  }
  const { entries } = queue as unknown as { readonly entries: readonly unknown[] }
  expect(entries.length).toBeLessThan(200)
})
