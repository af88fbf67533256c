import { describe, expect, it } from 'vitest'
import { FeedStore, durationOf } from './feed-store.js'
import { parseFeedMessage, type FeedPoint } from './feed.js'

function point(end: number, avg = 20): FeedPoint {
  return { start: end - 5_000, end, count: 10, min: avg - 1, max: avg + 1, avg, last: avg }
}

function arrive(store: FeedStore, topic: string, body: unknown) {
  const message = parseFeedMessage(topic, JSON.stringify(body))
  return message === undefined ? undefined : store.add(message)
}

describe('parseFeedMessage', () => {
  it('reads a point and a history', () => {
    expect(parseFeedMessage('feeds/hq/lab/power/5s', JSON.stringify(point(5_000)))).toMatchObject({
      kind: 'point',
      name: { site: 'hq', room: 'lab', metric: 'power', window: '5s' },
    })
    const history = parseFeedMessage(
      'feeds/hq/lab/power/5s/history',
      JSON.stringify({ points: [point(5_000), 'x'] }),
    )
    expect(history).toMatchObject({ kind: 'history', points: [point(5_000)] })
  })

  it.each([
    ['another tree', 'sensors/hq/lab/power/5s', '{}'],
    ['too few levels', 'feeds/hq/lab/power', '{}'],
    ['an empty level', 'feeds//lab/power/5s', JSON.stringify(point(1))],
    ['an unknown tail', 'feeds/hq/lab/power/5s/other', '{}'],
    ['no JSON', 'feeds/hq/lab/power/5s', '{'],
    ['a number missing', 'feeds/hq/lab/power/5s', '{"start":1,"end":2}'],
    ['null', 'feeds/hq/lab/power/5s', 'null'],
  ])('leaves alone %s', (_name, topic, payload) => {
    expect(parseFeedMessage(topic, payload)).toBeUndefined()
  })
})

describe('FeedStore', () => {
  it('keeps points in order of time, whatever the order of arrival, each once', () => {
    const store = new FeedStore()
    arrive(store, 'feeds/a/b/c/5s', point(10_000))
    arrive(store, 'feeds/a/b/c/5s/history', { points: [point(5_000), point(10_000)] })
    const feed = arrive(store, 'feeds/a/b/c/5s', point(15_000))
    expect(feed?.points.map(({ end }) => end)).toEqual([5_000, 10_000, 15_000])
  })

  it('keeps an hour of five-second points and forgets the oldest', () => {
    const store = new FeedStore()
    for (let i = 1; i <= 1_000; i++) arrive(store, 'feeds/a/b/c/5s', point(i * 5_000))
    const points = store.feeds.get('a/b/c/5s')?.points
    expect(points).toHaveLength(720)
    expect(points?.[0]?.end).toBe(281 * 5_000)
  })

  it('turns feeds away beyond its bound and counts them', () => {
    const store = new FeedStore()
    for (let i = 0; i < 2_001; i++) arrive(store, `feeds/a/b/m${i}/5s`, point(5_000))
    expect(store.feeds.size).toBe(2_000)
    expect(store.turnedAway).toBe(1)
  })

  it('lists windows by length', () => {
    const store = new FeedStore()
    for (const window of ['1h', '5s', 'daily', '1m']) arrive(store, `feeds/a/b/c/${window}`, point(5_000))
    expect(store.windows()).toEqual(['5s', '1m', '1h', 'daily'])
    expect(durationOf('500ms')).toBe(0.5)
  })
})
