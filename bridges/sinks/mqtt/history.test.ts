import { expect, it } from 'vitest'
import type { OutboundMessage } from '../../../broker/contract/port.js'
import { TopicTemplate } from '../../mqtt/topic-template.js'
import { ManualClock } from '../../../broker/contract/testing/manual-clock.js'
import { recordOf } from '../../runtime/testing.js'
import { History, type HistoryOptions } from './history.js'

function setUp(options: Partial<HistoryOptions> = {}, retained: Readonly<Record<string, string>> = {}) {
  const clock = new ManualClock(1_700_000_000_000)
  const published: OutboundMessage[][] = []
  const outcome = { wait: Promise.resolve() }
  const history = new History(
    { topic: new TopicTemplate('h/{room}'), points: 3, maxBytes: 1_000, maxTopics: 2, ...options },
    clock,
    {
      publish: async (messages) => {
        published.push([...messages])
        await outcome.wait
      },
      recall: (topic) => {
        const left = retained[topic]
        return Promise.resolve(left === undefined ? undefined : Buffer.from(left))
      },
    },
  )
  const add = (room: string, value: unknown): void => {
    history.add(recordOf(value, { captures: { room } }))
  }
  const texts = (): string[] =>
    published.flat().map(({ topic, payload }) => `${topic} ${Buffer.from(payload).toString()}`)
  return { clock, history, published, outcome, add, texts }
}

it('publishes the last points of each topic, retained, at most once a second', async () => {
  const { clock, add, texts, published } = setUp()
  for (const value of [1, 2, 3, 4]) add('a', value)
  add('b', 9)
  await clock.pass(999)
  expect(published).toEqual([])
  await clock.pass(1)
  expect(texts()).toEqual(['h/a {"points":[2,3,4]}', 'h/b {"points":[9]}'])
  expect(published[0]?.every(({ retain, qos }) => retain && qos === 0)).toBe(true)
  await clock.pass(10_000)
  expect(published).toHaveLength(1)
})

it('stays below its size, the oldest points first', async () => {
  const { clock, add, published } = setUp({ maxBytes: 300, points: 1_000 })
  for (let i = 0; i < 200; i++) add('a', { text: `é${i}` })
  await clock.pass(1_000)
  const payload = Buffer.from(published[0]![0]!.payload)
  expect(payload.length).toBeLessThanOrEqual(300)
  expect((JSON.parse(payload.toString()) as { points: { text: string }[] }).points.at(-1)?.text).toBe('é199')
})

it('forgets the topic that was silent longest', async () => {
  const { clock, add, texts } = setUp()
  for (const room of ['a', 'b', 'a', 'c']) add(room, 1)
  await clock.pass(1_000)
  expect(texts()).toEqual(['h/a {"points":[1,1]}', 'h/c {"points":[1]}'])
})

it('waits for one publish at a time, and publishes the rest when it is closed', async () => {
  const { clock, add, history, published, outcome, texts } = setUp()
  let release: (error: Error) => void = () => {}
  outcome.wait = new Promise((_, reject) => (release = reject))
  add('a', 1)
  await clock.pass(1_000)
  add('a', 2)
  await clock.pass(5_000)
  expect(published).toHaveLength(1)
  outcome.wait = Promise.resolve()
  release(new Error('away'))
  await history.close()
  expect(texts().at(-1)).toBe('h/a {"points":[1,2]}')
  expect(clock.pendingTimers).toBe(0)
})

it('goes on from what a former process has left, whatever that is', async () => {
  const { clock, add, texts } = setUp(
    { maxTopics: 10 },
    { 'h/a': '{"points":[1,2,3]}', 'h/b': 'no JSON', 'h/c': '{"points":7}', 'h/d': 'null' },
  )
  for (const room of ['a', 'b', 'c', 'd']) add(room, 4)
  await clock.pass(1_000)
  add('a', 5)
  await clock.pass(1_000)
  expect(texts()).toEqual([
    'h/a {"points":[2,3,4]}',
    'h/b {"points":[4]}',
    'h/c {"points":[4]}',
    'h/d {"points":[4]}',
    'h/a {"points":[3,4,5]}',
  ])
})
