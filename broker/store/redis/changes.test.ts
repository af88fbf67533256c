import { beforeEach, expect, it } from 'vitest'
import type { RedisReply } from '../../contract/cluster.js'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import { RecordedEvents, roomy } from '../conformance/bench.js'
import { Changes } from './changes.js'
import { Layout } from './layout.js'
import type { RedisLink } from './link.js'
import { pack } from './message-pack.js'
import { RetainedTopics } from './retained-topics.js'

const LAST = 9
const log = Array.from({ length: LAST }, (_, i) => pack(['other', 'retained', `t/${i + 1}`, 1, false]))
let answers: ((until: number) => void)[]
/** Ends the reading of the topics of all retained messages, as of a version. */
let loaded: (version: number) => void
let topics: RetainedTopics
let changes: Changes

beforeEach(() => {
  answers = []
  const link = {
    command: (name: string): Promise<RedisReply> => Promise.reject(new Error(name)),
    untilAnswered: (read: () => Promise<RedisReply>) => read(),
    run: (_script: unknown, _key: string, _base: string, after: number) =>
      new Promise<RedisReply>((resolve) =>
        answers.push((until) => resolve(pack([until, 0, log.slice(after, until)]))),
      ),
  }
  const counters = new Promise<RedisReply>(
    (resolve) => (loaded = (version) => resolve([Buffer.from(`${version}`), null])),
  )
  link.command = (name) => (name === 'hmget' ? counters : Promise.resolve([Buffer.from('0'), []]))
  topics = new RetainedTopics(roomy)
  const layout = new Layout('test', 1)
  const events = new RecordedEvents()
  changes = new Changes(link as unknown as RedisLink, layout, topics, 'own', new ManualClock(), events)
})

const change = (version: number): void => changes.change(0, version, log[version - 1]!)
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

it('applies changes that come in order, and reads nothing', () => {
  for (let version = 1; version <= LAST; version++) change(version)
  expect([topics.count, answers.length]).toEqual([LAST, 0])
})

it('reads the log once for all that comes out of order while it is being read', async () => {
  for (const version of [3, 4, 6, 5]) change(version)
  expect([topics.count, answers.length]).toEqual([0, 1])
  answers[0]?.(6)
  await turn()
  expect([topics.count, answers.length]).toEqual([6, 1])
  change(7)
  expect([topics.count, answers.length]).toEqual([7, 1])
})

it('reads once more when something was heard of that the read had passed already', async () => {
  change(3)
  change(LAST)
  answers[0]?.(3)
  await turn()
  expect([topics.count, answers.length]).toEqual([3, 2])
  answers[1]?.(LAST)
  await turn()
  expect([topics.count, answers.length]).toEqual([LAST, 2])
})

it('does not read for ever what Redis has lost', async () => {
  change(LAST)
  answers[0]?.(0)
  await turn()
  expect([topics.count, answers.length]).toEqual([0, 1])
})

it('knows everything behind a reading of all topics that is under way as well', async () => {
  const loading = changes.load()
  let known = false
  const caughtUp = changes.caughtUp().then(() => (known = true))
  change(LAST)
  await turn()
  expect([known, answers.length]).toEqual([false, 0])
  loaded(7)
  await loading
  await turn()
  expect([known, answers.length]).toEqual([false, 1])
  answers[0]?.(LAST)
  await caughtUp
  expect(topics.count).toBe(2)
})
