import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Message, type QoS } from '../contract/message.js'
import type { Router, Subscriber, Subscription } from '../contract/router.js'
import { formatFilter } from '../contract/topic.js'
import { createRouter } from './router.js'

class Member implements Subscriber {
  constructor(
    readonly clientId: string,
    public online = true,
    readonly durable = false,
  ) {}

  deliver(): void {
    throw new Error('the router does not deliver')
  }
}

class OtherNode extends Member {
  constructor(readonly node: string) {
    super('')
  }
}

function subscription(filter: string, options: Partial<Subscription> = {}): Subscription {
  const defaults = { share: undefined, qos: 2, noLocal: false, retainAsPublished: false } as const
  return { filter, retainHandling: 0, identifier: undefined, ...defaults, ...options }
}

function message(topic: string, qos: QoS = 0, publisherId?: string): Message {
  return new Message({ topic, payload: Buffer.alloc(0), qos, retain: false, publisherId, receivedAt: 0 })
}

describe('a message of another node', () => {
  it('is for those who are here: no node, no group, above QoS 0 nobody with a stored queue', () => {
    const router = createRouter()
    const [volatile, durable, node] = [new Member('v'), new Member('d', true, true), new OtherNode('n')]
    for (const each of [volatile, durable, node]) router.subscribe(each, subscription('a/#'))
    router.subscribe(volatile, subscription('a/b', { share: 'g' }))
    const here = (qos: QoS, publisher?: string): Subscriber[] =>
      router.routeHere(message('a/b', qos, publisher)).targets.map(({ subscriber }) => subscriber)
    expect(here(0)).toEqual([volatile, durable])
    expect(here(1)).toEqual([volatile])
    expect(router.routeHere(message('a/b', 1))).toBe(router.routeHere(message('a/b', 1)))
    router.subscribe(volatile, subscription('a/#', { noLocal: true }))
    expect(here(1)).toEqual([volatile])
    expect(here(1, 'v')).toEqual([])
    router.remove(volatile)
    expect(here(0)).toEqual([durable])
  })
})

describe('the turns of a group', () => {
  it('go to another node as often as it has members', () => {
    const router = createRouter()
    const [a, b, node] = [new Member('a'), new Member('b'), new OtherNode('n')]
    const chosen = (): Subscriber => router.route(message('t')).targets[0]!.subscriber
    router.subscribe(a, subscription('t', { share: 'g' }))
    router.subscribe(node, subscription('t', { share: 'g', members: 3 }))
    router.subscribe(b, subscription('t', { share: 'g' }))
    const round = [a, node, node, node, b]
    expect(Array.from({ length: 10 }, chosen)).toEqual([...round, ...round])
    router.subscribe(node, subscription('t', { share: 'g', members: 1 }))
    expect(Array.from({ length: 3 }, chosen)).toEqual([a, node, b])
    expect(router.subscriptionCount).toBe(2)
    router.remove(a)
    router.remove(b)
    expect(Array.from({ length: 3 }, chosen)).toEqual([node, node, node])
  })
})

/** What is told has to be what is there, whatever comes before what. */
describe('what other nodes are told', () => {
  const members = [
    new Member('v'),
    new Member('d', true, true),
    new Member('e', true, true),
    new OtherNode('n'),
  ]
  const filters = [
    { filter: 'a', share: undefined },
    { filter: 'a/+', share: undefined },
    { filter: 'a', share: 'g' },
  ]
  type Step = readonly ['subscribe' | 'unsubscribe' | 'remove' | 'arrived' | 'departed', number, number]

  it('is what subscribers that are here want', () => {
    const step: fc.Arbitrary<Step> = fc.tuple(
      fc.constantFrom('subscribe', 'unsubscribe', 'remove', 'arrived', 'departed'),
      fc.nat({ max: members.length - 1 }),
      fc.nat({ max: filters.length - 1 }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const told = new Map<string, number>()
        const count = (filter: string, by: number): void => {
          const sum = (told.get(filter) ?? 0) + by
          if (sum === 0) told.delete(filter)
          else told.set(filter, sum)
        }
        const router = createRouter({
          interest: { want: (filter) => count(filter, 1), unwant: (filter) => count(filter, -1) },
        })
        const model = new Model()
        for (const each of steps) {
          apply(router, each)
          model.apply(each)
        }
        expect(told).toEqual(model.wanted())
      }),
    )
  })

  function apply(router: Router, [kind, who, what]: Step): void {
    const member = members[who]!
    const { filter, share } = filters[what]!
    if (kind === 'subscribe') router.subscribe(member, subscription(filter, { share }))
    else if (kind === 'unsubscribe') router.unsubscribe(member, filter, share)
    else router[kind](member)
  }

  class Model {
    private readonly subscribed = new Set<string>()
    private readonly here = new Set<number>()

    apply([kind, who, what]: Step): void {
      if (kind === 'subscribe') this.subscribed.add(`${who} ${what}`)
      else if (kind === 'unsubscribe') this.subscribed.delete(`${who} ${what}`)
      else if (kind === 'arrived') this.here.add(who)
      else if (kind === 'departed') this.here.delete(who)
      else for (const what of filters.keys()) this.subscribed.delete(`${who} ${what}`)
    }

    wanted(): Map<string, number> {
      const wanted = new Map<string, number>()
      for (const each of this.subscribed) {
        const [who = 0, what = 0] = each.split(' ').map(Number)
        const member = members[who]!
        const parsed = filters[what]!
        if (member instanceof OtherNode) continue
        if (member.durable && (!this.here.has(who) || parsed.share !== undefined)) continue
        const text = formatFilter(parsed)
        wanted.set(text, (wanted.get(text) ?? 0) + 1)
      }
      return wanted
    }
  }
})
