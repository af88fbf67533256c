import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { filterMatches } from '../contract/topic.js'
import { TopicMemory } from './topic-memory.js'

function memory(topics: number, targets = 1_000): TopicMemory<string> {
  return new TopicMemory<string>({ topics, targets })
}

describe('topic memory', () => {
  it('keeps topics that are in use when others are seen once', () => {
    const kept = memory(4)
    for (const topic of ['a', 'b']) kept.remember(topic, topic)
    for (let i = 0; i < 100; i++) {
      expect(kept.get('a')).toBe('a')
      expect(kept.get('b')).toBe('b')
      kept.remember(`once/${i}`, 'x')
      expect(kept.size).toBeLessThanOrEqual(4)
    }
  })

  it('gets most of a round of topics right that is larger than itself', () => {
    const kept = memory(100)
    let hits = 0
    for (let round = 0; round < 50; round++)
      for (let i = 0; i < 125; i++) {
        if (kept.get(`t/${i}`) === undefined) kept.remember(`t/${i}`, 'x')
        else hits++
      }
    expect(hits / (50 * 125)).toBeGreaterThan(0.6)
    expect(kept.size).toBe(100)
  })

  it('is bounded by the targets of all routes together', () => {
    const kept = memory(100, 10)
    for (let i = 0; i < 20; i++) {
      kept.remember(`t/${i}`, 'x')
      kept.charge(`t/${i}`, 4)
    }
    expect(kept.size).toBeLessThanOrEqual(2)
    kept.remember('huge', 'x')
    kept.charge('huge', 11)
    expect(kept.get('huge')).toBeUndefined()
  })

  it('forgets exactly the topics that a filter matches', () => {
    const level = fc.constantFrom('', 'a', 'b', '$c')
    const topics = fc.uniqueArray(
      fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/')),
      { maxLength: 30 },
    )
    const filter = fc
      .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
      .map(([levels, hash]) => (hash ? [...levels, '#'] : levels).join('/') || '#')
    fc.assert(
      fc.property(topics, fc.array(filter, { maxLength: 5 }), (all, filters) => {
        const kept = memory(100)
        for (const topic of all) kept.remember(topic, topic)
        let left = all
        for (const each of filters) {
          kept.forget(each)
          left = left.filter((topic) => !filterMatches(each, topic))
          expect(all.filter((topic) => kept.get(topic) !== undefined)).toEqual(left)
          expect(kept.size).toBe(left.length)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
