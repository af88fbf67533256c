import { expect, it, vi } from 'vitest'
import type { Engine } from '../contract/engine.js'
import type { SessionEvents } from '../contract/events.js'
import { ManualClock } from '../contract/testing/manual-clock.js'
import { InboundPublishes } from './inbound-publishes.js'

function setUp(mayPublish: (topic: string) => boolean) {
  const topics: string[] = []
  const engine = {
    hooks: {},
    publish: ({ topic }: { readonly topic: string }) => topics.push(topic),
  } as unknown as Engine
  const events = { messageDropped: vi.fn() } as unknown as SessionEvents
  const link = {
    version: 5 as const,
    sendAck: vi.fn(),
    refuse: vi.fn(),
    pauseReading: vi.fn(),
    resumeReading: vi.fn(),
    failed: vi.fn(),
  }
  const inbound = new InboundPublishes(engine, link, events, new ManualClock(), {
    clientId: 'c',
    engineClient: { id: 'c' },
    mayPublish,
    stored: undefined,
    receiveMaximum: 10,
    topicLimits: { maxLevels: 10, maxBytes: 100 },
  })
  const publish = (topic: string): void => {
    inbound.publish(topic, Buffer.alloc(0), 0, false, 0, undefined, undefined)
  }
  return { inbound, publish, topics, link }
}

it('asks once for a topic that comes again, and anew when the policy has changed', () => {
  let allowed = 'a'
  const mayPublish = vi.fn((topic: string) => topic === allowed)
  const { inbound, publish, topics } = setUp(mayPublish)
  publish('a')
  publish('a')
  expect(mayPublish).toHaveBeenCalledTimes(1)
  publish('b')
  publish('b')
  expect(mayPublish).toHaveBeenCalledTimes(3)
  expect(topics).toEqual(['a', 'a'])

  allowed = 'b'
  inbound.policyChanged()
  publish('a')
  publish('b')
  expect(topics).toEqual(['a', 'a', 'b'])
})

it('refuses a topic name that is none every time', () => {
  const { publish, topics, link } = setUp(() => true)
  publish('a/+')
  publish('a/+')
  expect(link.refuse).toHaveBeenCalledTimes(2)
  expect(topics).toEqual([])
})
