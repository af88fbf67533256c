import { describe, expect, it } from 'vitest'
import { cycles } from './cycles.js'

const route = (name: string, reads: string, ...publishes: string[]) => ({ name, reads, publishes })

describe('pipelines that feed each other', () => {
  it('in a row are fine', () => {
    expect(cycles([route('a', 'raw/+', 'rooms/+'), route('b', 'rooms/+', 'floors/+')])).toEqual([])
  })

  it('in a circle are told once, with the whole way', () => {
    const faults = cycles([
      route('first', 'other', 'x/1'),
      route('a', 'x/+', 'y/+'),
      route('b', 'y/1', 'z/+/mean', 'z/+/last'),
      route('c', 'z/#', 'x/2'),
    ])
    expect(faults).toEqual([
      {
        path: ['pipelines', 1, 'sink'],
        found: 'the beginning of a circle: a -> b -> c -> a',
        allowed: 'pipelines whose results do not come back to them',
      },
    ])
  })

  it('and each has its own circle', () => {
    const pairs = ['p', 'q'].flatMap((name) => [
      route(`${name}1`, `${name}/in`, `${name}/out`),
      route(`${name}2`, `${name}/out`, `${name}/in`),
    ])
    expect(cycles(pairs).map(({ path }) => path[1])).toEqual([0, 2])
  })
})
