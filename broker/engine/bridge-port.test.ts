import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { GatewayError } from '../contract/errors.js'
import { Message, type QoS } from '../contract/message.js'
import { FrameWriter, readForPipelines } from '../contract/port-frame.js'
import type { PortEnd } from '../contract/port.js'
import type { Subscriber, Subscription } from '../contract/subscription.js'
import { BridgePort } from './bridge-port.js'

/** A broker with one port and the raw other end of it; `tick` ends a tick. */
function setUp(bounds = { messages: 4, bytes: 1_000 }) {
  const subscribers = new Map<Subscriber, Subscription>()
  const published: Message[] = []
  const dropped: [string, string | undefined, number][] = []
  let deferred: (() => void)[] = []
  let publishError: GatewayError | undefined
  const port = new BridgePort({
    router: {
      subscribe: (subscriber, subscription) => void subscribers.set(subscriber, subscription),
      remove: (subscriber) => void subscribers.delete(subscriber),
    },
    engine: {
      publish: (message, _origin, done) => {
        published.push(message)
        done(publishError, 1)
      },
    },
    store: { retained: () => Readable.from([]) },
    events: { messageDropped: (reason, clientId, count) => dropped.push([reason, clientId, count]) },
    clock: { now: () => 7, monotonic: () => 7, schedule: () => ({ cancel: () => {} }) },
    defer: (task) => deferred.push(task),
    bounds,
  })
  const tick = (): void => {
    const tasks = deferred
    deferred = []
    for (const task of tasks) task()
  }
  const attach = () => {
    const received: string[] = []
    let listener: (frame: ArrayBuffer) => void = () => {}
    let frames = 0
    const end: PortEnd = {
      send: (frame) => {
        frames++
        readForPipelines(frame, {
          subscribed: (channel, max) => received.push(`subscribed ${channel} ${max}`),
          recalled: () => {},
          unsubscribed: (channel) => received.push(`unsubscribed ${channel}`),
          message: (channel, token, at, topic, payload) =>
            received.push(`${channel} ${token} ${at} ${topic} ${Buffer.from(payload).toString()}`),
          published: (id, outcome, detail) => received.push(`published ${id} ${outcome} ${detail}`),
        })
      },
      receive: (given) => (listener = given),
      close: () => {},
    }
    port.attach(end)
    const say = (write: (writer: FrameWriter) => void): void => {
      const writer = new FrameWriter()
      write(writer)
      listener(writer.take())
    }
    return { received, say, frames: () => frames }
  }
  const deliver = (payload: string, qos: QoS = 0): void => {
    const message = new Message({
      topic: 's/a',
      payload: Buffer.from(payload),
      qos,
      retain: false,
      receivedAt: 5,
    })
    for (const subscriber of subscribers.keys())
      subscriber.deliver(message, { qos, retain: false, identifiers: [], sharedFilter: undefined }, undefined)
  }
  return {
    port,
    attach,
    deliver,
    tick,
    subscribers,
    published,
    dropped,
    failPublishes: (error: GatewayError) => (publishError = error),
  }
}

describe('the port of the bridges', () => {
  it('subscribes once a name, without its own messages and those of the past', () => {
    const { attach, subscribers, tick } = setUp()
    const { say, received } = attach()
    say((writer) => {
      writer.subscribe(1, 'bridge:p', 's/+', 1)
    })
    tick()
    expect([...subscribers.values()]).toMatchObject([
      { filter: 's/+', qos: 1, noLocal: true, retainHandling: 2 },
    ])
    expect(received).toEqual(['subscribed 1 4'])
    say((writer) => {
      writer.release(1)
    })
    expect(subscribers.size).toBe(0)
  })

  it('sends what a tick brings as one frame, as far as credit goes, the rest in order when more is granted', () => {
    const { attach, deliver, tick } = setUp()
    const { say, received, frames } = attach()
    say((writer) => {
      writer.subscribe(1, 'bridge:p', 's/+', 0)
      writer.grant(1, 2, 1_000)
    })
    for (const text of ['a', 'b', 'c']) deliver(text)
    tick()
    expect(received.slice(1)).toEqual(['1 0 5 s/a a', '1 0 5 s/a b'])
    expect(frames()).toBe(1)
    deliver('d')
    say((writer) => {
      writer.grant(1, 5, 0)
    })
    tick()
    expect(received.slice(3)).toEqual(['1 0 5 s/a c', '1 0 5 s/a d'])
  })

  it('sends what has come before the end of a subscription, then says that it has', () => {
    const { attach, deliver, tick, subscribers } = setUp()
    const { say, received } = attach()
    say((writer) => {
      writer.subscribe(1, 'bridge:p', 's/+', 0)
      writer.grant(1, 1, 1_000)
    })
    for (const text of ['a', 'b']) deliver(text)
    say((writer) => {
      writer.unsubscribe(1)
    })
    tick()
    expect(subscribers.size).toBe(0)
    expect(received.at(-1)).toBe('1 0 5 s/a a')
    say((writer) => {
      writer.grant(1, 1, 1_000)
    })
    tick()
    expect(received.slice(2)).toEqual(['1 0 5 s/a b', 'unsubscribed 1'])
  })

  it('bounds what waits, by messages and bytes, and counts the rest once a tick', () => {
    const { attach, deliver, tick, dropped } = setUp()
    const { say, received } = attach()
    say((writer) => {
      writer.subscribe(1, 'bridge:p', 's/+', 1)
    })
    for (let i = 0; i < 6; i++) deliver(`v${i}`, 0)
    for (let i = 0; i < 6; i++) deliver(`r${i}`, 1)
    expect(dropped).toEqual([])
    tick()
    expect(dropped).toEqual([['bridge_overflow', 'bridge:p', 4]])
    say((writer) => {
      writer.grant(1, 100, 100_000)
    })
    tick()
    expect(received.slice(1).map((line) => line.split(' ')[4])).toEqual([
      'v0',
      'v1',
      'v2',
      'v3',
      'r0',
      'r1',
      'r2',
      'r3',
    ])
    say((writer) => {
      writer.grant(1, 0, 0)
    })
  })

  it('sends unsettled QoS 1 messages again to the next end, then what came meanwhile', () => {
    const { port, attach, deliver, tick } = setUp()
    const first = attach()
    first.say((writer) => {
      writer.subscribe(1, 'bridge:p', 's/+', 1)
      writer.grant(1, 100, 100_000)
    })
    for (const text of ['a', 'b', 'c']) deliver(text, 1)
    deliver('q0', 0)
    tick()
    first.say((writer) => {
      writer.settle(1, 1)
    })
    port.detach()
    deliver('d', 1)
    tick()
    const second = attach()
    second.say((writer) => {
      writer.subscribe(9, 'bridge:p', 's/+', 1)
      writer.grant(9, 100, 100_000)
    })
    tick()
    expect(second.received).toEqual(['subscribed 9 4', '9 4 5 s/a b', '9 5 5 s/a c', '9 6 5 s/a d'])
    second.say((writer) => {
      writer.settle(9, 6)
    })
    port.detach()
    const third = attach()
    third.say((writer) => {
      writer.subscribe(1, 'bridge:p', 's/+', 1)
      writer.grant(1, 100, 100_000)
    })
    tick()
    expect(third.received).toEqual(['subscribed 1 4'])
  })

  it('keeps no more for the next end than its bounds', () => {
    const { port, attach, deliver, tick } = setUp()
    const subscribe = (writer: FrameWriter): void => {
      writer.subscribe(1, 'bridge:p', 's/+', 1)
      writer.grant(1, 100, 100_000)
    }
    attach().say(subscribe)
    for (let i = 0; i < 10; i++) deliver(String(i), 1)
    port.detach()
    const next = attach()
    next.say(subscribe)
    tick()
    expect(next.received.slice(1).map((line) => line.split(' ')[4])).toEqual(['6', '7', '8', '9'])
  })

  it('publishes through the engine and reports in one frame', () => {
    const { attach, published, tick, failPublishes } = setUp()
    const { say, received } = attach()
    say((writer) => {
      writer.publish(1, 'bridge:p', 1, true, 'feeds/x', Buffer.from('1'))
    })
    expect(published[0]).toMatchObject({
      topic: 'feeds/x',
      qos: 1,
      retain: true,
      publisherId: 'bridge:p',
      receivedAt: 7,
    })
    failPublishes(new GatewayError('STORE_BUSY', 'busy'))
    say((writer) => {
      writer.publish(2, 'bridge:p', 1, true, 'feeds/x', Buffer.from('2'))
    })
    failPublishes(new GatewayError('QUOTA_EXCEEDED', 'full'))
    say((writer) => {
      writer.publish(3, 'bridge:p', 1, true, 'feeds/x', Buffer.from('3'))
    })
    tick()
    expect(received).toEqual([
      'published 1 0 ',
      'published 2 1 STORE_BUSY: busy',
      'published 3 2 QUOTA_EXCEEDED: full',
    ])
  })

  it('removes its subscriptions when it is closed', () => {
    const { port, attach, subscribers } = setUp()
    attach().say((writer) => {
      writer.subscribe(1, 'bridge:p', 's/+', 1)
    })
    port.close()
    port.close()
    expect(subscribers.size).toBe(0)
  })
})
