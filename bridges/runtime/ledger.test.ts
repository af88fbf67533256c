import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Ledger } from './ledger.js'

it('settles in order, as far as nothing is held', () => {
  const settled: number[] = []
  const ledger = new Ledger((token) => settled.push(token))
  for (const token of [1, 2, 3]) ledger.add(token)
  ledger.hold([1], 1)
  ledger.release([2])
  ledger.release([1])
  expect(settled).toEqual([])
  ledger.release([1])
  expect(settled).toEqual([2])
  ledger.release([3])
  expect(settled).toEqual([2, 3])
  expect(ledger.unsettled).toBe(0)
})

it('settles the oldest early and takes no harm from their holders', () => {
  const settled: number[] = []
  const ledger = new Ledger((token) => settled.push(token))
  for (const token of [5, 6, 7, 8]) ledger.add(token)
  expect(ledger.settleOldest(1)).toBe(3)
  expect(settled).toEqual([7])
  expect(ledger.floor).toBe(8)
  ledger.release([5, 6, 7])
  expect(ledger.unsettled).toBe(1)
  ledger.release([8])
  expect(settled).toEqual([7, 8])
})

it('begins anew with the tokens of another session', () => {
  const settled: number[] = []
  const ledger = new Ledger((token) => settled.push(token))
  ledger.add(1)
  ledger.release([1])
  ledger.add(40)
  ledger.release([40])
  expect(settled).toEqual([1, 40])
})

it('settles each token once its last holder has let go, whatever the order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(3), { minLength: 1, maxLength: 3_000 }),
      fc.infiniteStream(fc.nat()),
      (holders, random) => {
        let upTo = 0
        const ledger = new Ledger((token) => {
          expect(token).toBeGreaterThan(upTo)
          upTo = token
        })
        const left = new Map<number, number>()
        for (const [index, extra] of holders.entries()) {
          ledger.add(index + 1)
          ledger.hold([index + 1], extra)
          left.set(index + 1, extra + 1)
        }
        const draw = random[Symbol.iterator]()
        while (left.size > 0) {
          const tokens = [...left.keys()]
          const first = tokens[Number(draw.next().value) % Math.min(tokens.length, 5)] ?? 0
          const count = (left.get(first) ?? 0) - 1
          if (count === 0) left.delete(first)
          else left.set(first, count)
          ledger.release([first])
          const [oldest = holders.length + 1] = left.keys()
          expect(upTo).toBe(oldest - 1)
        }
      },
    ),
    { numRuns: 20 },
  )
})
