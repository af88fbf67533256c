import { expect, it } from 'vitest'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import { RecentEnds } from './recent-ends.js'

it('distrusts live copies for a client whose former session ended in the last minute', () => {
  const clock = new ManualClock()
  const ends = new RecentEnds(clock)
  ends.add('c')
  expect(ends.distrustedUntil('c')).toBe(60_000)
  expect(ends.distrustedUntil('d')).toBeUndefined()
  clock.advance(59_999)
  expect(ends.distrustedUntil('c')).toBe(119_999)
  clock.advance(60_001)
  ends.add('e')
  expect(ends.distrustedUntil('c')).toBeUndefined()
  expect(ends.distrustedUntil('e')).toBe(180_000)
})
