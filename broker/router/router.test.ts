import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Message, type QoS } from '../contract/message.js'
import type { Delivery, Router, Subscriber, Subscription, Target } from '../contract/router.js'
import { filterMatches } from '../contract/topic.js'
import { createRouter } from './router.js'

class Member implements Subscriber {
  constructor(
    readonly clientId: string,
    public online = true,
    public durable = false,
  ) {}

  deliver(): void {
    throw new Error('the router does not deliver')
  }
}

function subscription(filter: string, options: Partial<Subscription> = {}): Subscription {
  return {
    filter,
    share: undefined,
    qos: 0,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    identifier: undefined,
    ...options,
  }
}

function message(topic: string, qos: QoS = 0, retain = false, publisherId?: string): Message {
  return new Message({ topic, payload: Buffer.alloc(0), qos, retain, publisherId, receivedAt: 0 })
}

function names(router: Router, topic: string): string[] {
  return router.route(message(topic)).targets.map((target) => target.subscriber.clientId)
}

describe('route', () => {
  it('gives one target a subscriber: highest QoS, all identifiers, retain where one subscription keeps it', () => {
    const router = createRouter()
    const a = new Member('a')
    router.subscribe(a, subscription('x/#', { qos: 1, identifier: 7 }))
    router.subscribe(a, subscription('x/+', { qos: 2, identifier: 3, retainAsPublished: true }))
    router.subscribe(a, subscription('x/y', { qos: 0 }))
    const { targets } = router.route(message('x/y', 2, true))
    expect(targets).toHaveLength(1)
    expect(sorted(targets[0]!.delivery)).toEqual({
      qos: 2,
      retain: true,
      identifiers: [3, 7],
      sharedFilter: undefined,
    })
    expect(router.route(message('x/y', 1, false)).targets[0]!.delivery).toMatchObject({
      qos: 1,
      retain: false,
    })
    expect(router.subscriptionCount).toBe(3)
  })

  it('hides topics that begin with $ from wildcards at the first level [MQTT-4.7.2-1]', () => {
    const router = createRouter()
    router.subscribe(new Member('all'), subscription('#'))
    router.subscribe(new Member('one'), subscription('+/up'))
    router.subscribe(new Member('sys'), subscription('$SYS/#'))
    expect(names(router, '$SYS/up')).toEqual(['sys'])
    expect(names(router, '$SYS')).toEqual(['sys'])
    expect(names(router, 'a/$b').sort()).toEqual(['all'])
  })

  it('takes names of object members as levels like any other', () => {
    const router = createRouter()
    router.subscribe(new Member('a'), subscription('__proto__/constructor'))
    router.subscribe(new Member('b'), subscription('__proto__/+'))
    expect(names(router, '__proto__/constructor').sort()).toEqual(['a', 'b'])
    expect(names(router, 'toString')).toEqual([])
  })

  it('answers from memory with the same object, and notices changes', () => {
    const router = createRouter()
    const a = new Member('a')
    router.subscribe(a, subscription('x/+'))
    const first = router.route(message('x/y'))
    router.subscribe(new Member('elsewhere'), subscription('z/+'))
    expect(router.route(message('x/y'))).toBe(first)
    router.subscribe(a, subscription('x/+', { qos: 1 }))
    expect(router.route(message('x/y', 1)).targets[0]!.delivery.qos).toBe(1)
    router.unsubscribe(a, 'x/+', undefined)
    router.unsubscribe(a, 'x/+', undefined)
    expect(names(router, 'x/y')).toEqual([])
    expect(router.subscriptionCount).toBe(1)
  })

  it('keeps a message from its publisher where only No Local subscriptions match [MQTT-3.8.3-3]', () => {
    const router = createRouter()
    const a = new Member('a')
    router.subscribe(a, subscription('x', { qos: 2, noLocal: true, identifier: 1 }))
    router.subscribe(new Member('b'), subscription('x', { noLocal: true }))
    const own = message('x', 2, false, 'a')
    expect(router.route(own).targets.map((t) => t.subscriber.clientId)).toEqual(['b'])
    router.subscribe(a, subscription('+', { qos: 1, identifier: 2 }))
    const target = router.route(own).targets.find((t) => t.subscriber === a)
    expect(target?.delivery).toMatchObject({ qos: 1, identifiers: [2] })
    expect(router.route(message('x', 2, false, 'c')).targets).toHaveLength(2)
  })

  it('forgets everything of a removed subscriber', () => {
    const router = createRouter()
    const a = new Member('a')
    for (const filter of ['a', 'a/b', '+/b', '#']) router.subscribe(a, subscription(filter))
    router.subscribe(a, subscription('a/b', { share: 'g' }))
    expect(router.subscriptionCount).toBe(5)
    expect(router.route(message('a/b')).targets).toHaveLength(2)
    router.remove(a)
    router.remove(a)
    expect(router.subscriptionCount).toBe(0)
    expect(router.route(message('a/b')).targets).toEqual([])
  })
})

describe('share groups', () => {
  function group(...members: Member[]): Router {
    const router = createRouter()
    for (const member of members) router.subscribe(member, subscription('job/#', { share: 'g', qos: 1 }))
    return router
  }

  it('serves connected members in turn', () => {
    const router = group(new Member('a'), new Member('b', false, true), new Member('c'))
    const chosen = Array.from({ length: 6 }, () => router.route(message('job/1', 1)).targets[0]!)
    expect(chosen.map((t) => t.subscriber.clientId)).toEqual(['a', 'c', 'a', 'c', 'a', 'c'])
    expect(chosen[0]!.delivery).toEqual({
      qos: 1,
      retain: false,
      identifiers: [],
      sharedFilter: '$share/g/job/#',
    })
  })

  it('leaves a message to a queue only while nobody is connected, and only with QoS 1 or 2', () => {
    const a = new Member('a', false, true)
    const b = new Member('b', false, false)
    const router = group(b, a)
    expect(router.route(message('job/1', 1)).targets.map((t) => t.subscriber)).toEqual([a])
    expect(router.route(message('job/1', 0)).targets).toEqual([])
    b.online = true
    expect(router.route(message('job/1', 1)).targets.map((t) => t.subscriber)).toEqual([b])
  })

  it('gives each group and each ordinary subscription its own copy', () => {
    const router = group(new Member('a'))
    const b = new Member('b')
    router.subscribe(b, subscription('job/+', { share: 'h' }))
    router.subscribe(b, subscription('job/+'))
    expect(names(router, 'job/1').sort()).toEqual(['a', 'b', 'b'])
    router.unsubscribe(b, 'job/+', 'h')
    expect(names(router, 'job/1').sort()).toEqual(['a', 'b'])
  })

  it('hands what a member left unsettled to another one', () => {
    const [a, b] = [new Member('a'), new Member('b')]
    const router = group(a, b)
    const [target] = router.route(message('job/1', 1)).targets
    const next = router.reroute(message('job/1', 1), '$share/g/job/#', target!.subscriber)
    expect(next?.subscriber).not.toBe(target!.subscriber)
    router.remove(b)
    expect(router.reroute(message('job/1', 1), '$share/g/job/#', a)).toBeUndefined()
    expect(router.reroute(message('job/1', 1), '$share/other/job/#', b)).toBeUndefined()
    expect(router.reroute(message('job/1', 1), 'job/#', b)).toBeUndefined()
  })

  it('sees members come and go without being told of the topic', () => {
    const [a, b] = [new Member('a'), new Member('b')]
    const router = group(a)
    names(router, 'job/1')
    router.subscribe(b, subscription('job/#', { share: 'g' }))
    expect(new Set([...names(router, 'job/1'), ...names(router, 'job/1')])).toEqual(new Set(['a', 'b']))
    router.remove(a)
    expect(names(router, 'job/1')).toEqual(['b'])
    router.remove(b)
    expect(names(router, 'job/1')).toEqual([])
  })
})

/** What the router promises, said with `filterMatches` alone. */
class Model {
  readonly subscriptions = new Map<string, [Member, Subscription]>()

  route(of: Message): string[] {
    const bySubscriber = new Map<Member, Subscription[]>()
    for (const [member, sub] of this.subscriptions.values()) {
      if (!filterMatches(sub.filter, of.topic)) continue
      if (sub.noLocal && member.clientId === of.publisherId) continue
      const list = bySubscriber.get(member)
      if (list === undefined) bySubscriber.set(member, [sub])
      else list.push(sub)
    }
    return [...bySubscriber]
      .map(([{ clientId }, subs]) =>
        describeTarget(clientId, {
          qos: Math.min(of.qos, Math.max(...subs.map((sub) => sub.qos))) as QoS,
          retain: of.retain && subs.some((sub) => sub.retainAsPublished),
          identifiers: subs.flatMap((sub) => sub.identifier ?? []),
          sharedFilter: undefined,
        }),
      )
      .sort()
  }
}

function sorted(delivery: Delivery): Delivery {
  return { ...delivery, identifiers: [...delivery.identifiers].sort((a, b) => a - b) }
}

function describeTarget(clientId: string, delivery: Delivery): string {
  return JSON.stringify([clientId, sorted(delivery)])
}

function describeTargets(targets: readonly Target[]): string[] {
  return targets.map((target) => describeTarget(target.subscriber.clientId, target.delivery)).sort()
}

const level = fc.constantFrom('', 'a', 'b', '$x')
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/') || 'a')
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
  .map(([levels, hash]) => (hash ? [...levels, '#'] : levels).join('/') || '+')

const step = fc.oneof(
  fc.record({
    kind: fc.constant('subscribe' as const),
    who: fc.nat(3),
    filter,
    qos: fc.constantFrom<QoS>(0, 1, 2),
    noLocal: fc.boolean(),
    retainAsPublished: fc.boolean(),
    identifier: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('unsubscribe' as const), who: fc.nat(3), filter }),
  fc.record({ kind: fc.constant('remove' as const), who: fc.nat(3) }),
  fc.record({
    kind: fc.constant('route' as const),
    topic,
    qos: fc.constantFrom<QoS>(0, 1, 2),
    retain: fc.boolean(),
    publisher: fc.option(fc.nat(3), { nil: undefined }),
  }),
)

describe('against the model', () => {
  for (const rememberedTopics of [1, 3, 1_000])
    it(`routes as filterMatches says, remembering ${rememberedTopics} topics`, () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
          const router = createRouter({ rememberedTopics, rememberedTargets: rememberedTopics * 2 })
          const model = new Model()
          const members = Array.from({ length: 4 }, (_, i) => new Member(`c${i}`))
          for (const action of steps) {
            if (action.kind === 'route') {
              const publisher = action.publisher === undefined ? undefined : `c${action.publisher}`
              const of = message(action.topic, action.qos, action.retain, publisher)
              expect(describeTargets(router.route(of).targets)).toEqual(model.route(of))
              continue
            }
            const member = members[action.who]!
            if (action.kind === 'subscribe') {
              const sub = subscription(action.filter, action)
              router.subscribe(member, { ...sub, share: undefined })
              model.subscriptions.set(`${member.clientId} ${action.filter}`, [member, sub])
            } else if (action.kind === 'unsubscribe') {
              router.unsubscribe(member, action.filter, undefined)
              model.subscriptions.delete(`${member.clientId} ${action.filter}`)
            } else {
              router.remove(member)
              for (const [key, [owner]] of model.subscriptions)
                if (owner === member) model.subscriptions.delete(key)
            }
            expect(router.subscriptionCount).toBe(model.subscriptions.size)
          }
        }),
        { numRuns: 1_000 },
      )
    })
})
