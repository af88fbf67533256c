import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SequenceCheck } from './sequence-check.js'

function tallyOf(sequence: readonly number[], sent = 0) {
  const check = new SequenceCheck(1)
  for (const each of sequence) check.take(0, each)
  check.end(0, sent)
  return check.tally
}

describe('a sequence check', () => {
  it('finds nothing in a stream that is whole', () => {
    expect(tallyOf([0, 1, 2, 3], 4)).toEqual({ received: 4, lost: 0, duplicates: 0, reordered: 0 })
  })

  it('tells a late message from a lost and a doubled one', () => {
    expect(tallyOf([0, 2, 1, 1, 5], 6)).toEqual({ received: 4, lost: 2, duplicates: 1, reordered: 1 })
  })

  it('counts what never came at the end', () => {
    expect(tallyOf([0, 1], 10).lost).toBe(8)
  })

  it('keeps streams apart, and ignores one that it was not told of', () => {
    const check = new SequenceCheck(2)
    check.take(0, 0)
    check.take(1, 0)
    check.take(2, 0)
    check.end(2, 10)
    check.end(-1, 10)
    expect(check.tally).toEqual({ received: 2, lost: 0, duplicates: 0, reordered: 0 })
  })

  it('accounts for each number of any order, with any losses and repetitions', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(40)), (arrivals) => {
        const tally = tallyOf(arrivals, 41)
        const distinct = new Set(arrivals).size
        expect(tally.received).toBe(distinct)
        expect(tally.lost).toBe(41 - distinct)
        expect(tally.duplicates).toBe(arrivals.length - distinct)
      }),
    )
  })
})
