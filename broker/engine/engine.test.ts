import fc from 'fast-check'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { EngineClient } from '../contract/engine.js'
import { GatewayError } from '../contract/errors.js'
import { type Bench, FakeConnection, Inbox, message, startEngine, subscription } from './fakes.js'

let bench: Bench | undefined
afterEach(async () => {
  await bench?.stop()
  bench = undefined
})

/** Whether a program listens for messages: then they take the steps of Aedes, else our own. Both do the same. */
let programListens = false

async function started(): Promise<Bench> {
  bench = await startEngine()
  if (programListens) bench.broker.on('publish', () => {})
  return bench
}

const full = new GatewayError('STORE_UNWRITABLE', 'disk full')

function client({ engine }: Bench, id = 'p'): EngineClient {
  return engine.client(new FakeConnection(id))
}

describe.each([false, true])('with a program that listens: %s;', (listens) => {
  beforeAll(() => {
    programListens = listens
  })

  describe('publish', () => {
    it('is synchronous where nothing has to be stored, and reports how many it was for', async () => {
      const { engine, router, store } = await started()
      const [a, b] = [new Inbox('a'), new Inbox('b')]
      router.subscribe(a, subscription('t', 1))
      router.subscribe(b, subscription('t', 0))
      const done = vi.fn()
      engine.publish(message('t', '1', { qos: 1 }), undefined, done)
      engine.publish(message('t', '2'), undefined, done)
      engine.publish(message('nobody', '3', { qos: 2 }), undefined, done)
      expect(done.mock.calls).toEqual([
        [undefined, 2],
        [undefined, 2],
        [undefined, 0],
      ])
      expect([a.received, b.received]).toEqual([
        ['1', '2'],
        ['1', '2'],
      ])
      expect(store.accepted).toEqual([])
    })

    it('stores queues, retained message and QoS 2 identifier in one write, then emits with the places', async () => {
      const fresh = await started()
      const { engine, router, store } = fresh
      const [live, kept, kept0] = [new Inbox('live'), new Inbox('kept', true), new Inbox('kept0', true)]
      router.subscribe(live, subscription('t', 2))
      router.subscribe(kept0, subscription('t', 0))
      router.subscribe(kept, subscription('t', 1))
      const incoming = { session: {} as never, packetId: 7 }
      const done = vi.fn()
      store.holding = true
      engine.publish(message('t', '1', { qos: 2, retain: true }), { client: client(fresh), incoming }, done)
      expect(store.accepted).toHaveLength(1)
      expect(store.accepted[0]).toMatchObject({ recipients: [{ clientId: 'kept' }], retain: true, incoming })
      expect([live.received, done.mock.calls]).toEqual([[], []])
      store.settle()
      expect(done.mock.calls).toEqual([[undefined, 3]])
      expect([live.sequences, kept0.sequences, kept.sequences]).toEqual([[undefined], [undefined], [1]])
    })

    it('emits to those it was stored for, whoever subscribes meanwhile', async () => {
      const { engine, router, store } = await started()
      const [kept, late] = [new Inbox('kept', true), new Inbox('late')]
      router.subscribe(kept, subscription('t', 1))
      store.holding = true
      engine.publish(message('t', '1', { qos: 1 }), undefined, () => {})
      router.subscribe(late, subscription('t', 1))
      store.settle()
      expect([kept.received, late.received]).toEqual([['1'], []])
    })

    it('fails without emission when it cannot be stored, and goes on with the next', async () => {
      const fresh = await started()
      const { engine, router, store, reported } = fresh
      const kept = new Inbox('kept', true)
      router.subscribe(kept, subscription('t', 1))
      const origin = { client: client(fresh), incoming: undefined }
      const log: unknown[] = []
      store.holding = true
      engine.publish(message('t', '1', { qos: 1 }), origin, (error) => log.push(error))
      engine.publish(message('t', '2'), origin, (error) => log.push(error))
      store.settle(full)
      expect(kept.received).toEqual(['2'])
      expect(log).toEqual([full, undefined])
      expect(reported.list).toEqual([])
    })

    it('stores a retained QoS 0 message without waiting, and counts when that fails', async () => {
      const { engine, router, store, reported } = await started()
      const a = new Inbox('a')
      router.subscribe(a, subscription('t'))
      store.holding = true
      const done = vi.fn()
      engine.publish(message('t', '1', { retain: true, publisherId: 'p' }), undefined, done)
      expect(store.accepted[0]).toMatchObject({ recipients: [], retain: true })
      expect(done).toHaveBeenCalledWith(undefined, 1)
      store.settle(full)
      expect(reported.list).toEqual(['dropped store_failed p 1'])
    })

    it('takes nothing while it does not run', async () => {
      const fresh = await started()
      await fresh.stop()
      await fresh.stop()
      const done = vi.fn()
      fresh.engine.publish(message('t', '1'), undefined, done)
      expect(done).toHaveBeenCalledWith(expect.objectContaining({ code: 'NOT_RUNNING' }), 0)
    })

    it('survives subscribers, listeners and hooks that throw', async () => {
      const fresh = await started()
      const { engine, router, broker, reported } = fresh
      const [bad, good] = [new Inbox('bad', false, fail), new Inbox('good')]
      function fail(): never {
        throw new Error('defect')
      }
      router.subscribe(bad, subscription('t'))
      router.subscribe(good, subscription('t'))
      broker.on('publish', fail)
      const done = vi.fn()
      engine.publish(message('t', '1'), undefined, done)
      broker.published = fail
      engine.publish(message('t', '2'), undefined, done)
      expect(done.mock.calls).toEqual([
        [undefined, 2],
        [undefined, 2],
      ])
      expect(good.received).toEqual(['1', '2'])
      expect(new Set(reported.list)).toEqual(new Set(['subscriber bad: defect', 'listener: defect']))
      broker.removeAllListeners('publish')
    })

    it('reports a store that throws, and the next message goes on', async () => {
      const { engine, store, broker, reported } = await started()
      const accept = vi.spyOn(store, 'accept').mockImplementation(() => {
        throw new Error('defect')
      })
      const codes: (string | undefined)[] = []
      const kept = { qos: 1, retain: true } as const
      engine.publish(message('t', '1', kept), undefined, (error) => codes.push(error?.code))
      accept.mockRestore()
      broker.publish({ cmd: 'publish', topic: 't', payload: '2', dup: false, ...kept }, () =>
        codes.push('second'),
      )
      engine.publish(message('t', '3', kept), undefined, (error) => codes.push(error?.code))
      expect(codes).toEqual(['INTERNAL', 'second', undefined])
      expect(reported.list).toEqual(['engine: defect'])
    })

    it('reports an error of the `published` hook as such', async () => {
      const { engine, broker } = await started()
      broker.published = (_packet, _client, callback) => callback(new Error('no'))
      const done = vi.fn()
      engine.publish(message('t', '1'), undefined, done)
      expect(done).toHaveBeenCalledWith(expect.objectContaining({ code: 'HOOK_FAILED' }), 0)
      engine.publish(message('a/'.repeat(100), '1'), undefined, done)
      expect(done).toHaveBeenLastCalledWith(expect.objectContaining({ code: 'TOPIC_INVALID' }), 0)
    })
  })

  describe('order [MQTT-4.6.0]', () => {
    it('holds QoS 0 behind what its origin has under way, and nothing of others', async () => {
      const fresh = await started()
      const { engine, router, store } = fresh
      const kept = new Inbox('kept', true)
      router.subscribe(kept, subscription('t', 1))
      const [p, q] = ['p', 'q'].map((id) => ({ client: client(fresh, id), incoming: undefined }))
      store.holding = true
      engine.publish(message('t', 'p1', { qos: 1, retain: true }), p, () => {})
      engine.publish(message('t', 'p2'), p, () => {})
      engine.publish(message('elsewhere', 'p3', { qos: 1 }), p, () => {})
      engine.publish(message('t', 'q1'), q, () => {})
      expect(kept.received).toEqual(['q1'])
      store.settle()
      expect(kept.received).toEqual(['q1', 'p1', 'p2'])
    })

    it('keeps what is published from within a delivery or a report behind it', async () => {
      const fresh = await started()
      const { engine, router } = fresh
      const origin = { client: client(fresh), incoming: undefined }
      const log: string[] = []
      const first = new Inbox('first', false, ({ payload }) => {
        if (payload.toString() === '1') engine.publish(message('t', '2'), origin, () => log.push('done 2'))
      })
      const second = new Inbox('second')
      router.subscribe(first, subscription('t'))
      router.subscribe(second, subscription('t'))
      engine.publish(message('t', '1'), origin, () => {
        log.push('done 1')
        engine.publish(message('t', '3'), origin, () => log.push('done 3'))
      })
      expect(second.received).toEqual(['1', '2', '3'])
      expect(log).toEqual(['done 1', 'done 2', 'done 3'])
      engine.publish(message('t', '4'), origin, () => log.push('done 4'))
      expect(log).toHaveLength(4)
    })

    it('bounds the QoS 0 messages that wait, and tells their publisher and the count', async () => {
      const fresh = await started()
      const { engine, store, reported } = fresh
      const origin = { client: client(fresh), incoming: undefined }
      store.holding = true
      engine.publish(message('t', '0', { qos: 1, retain: true }), origin, () => {})
      const outcomes: (string | undefined)[] = []
      for (let i = 0; i < 1_001; i++)
        engine.publish(message('t', 'x', { publisherId: 'p' }), origin, (error) => outcomes.push(error?.code))
      expect(outcomes).toEqual(['STORE_BUSY'])
      expect(reported.list).toEqual(['dropped queue_full p 1'])
      store.settle()
      expect(outcomes).toHaveLength(1_001)
      engine.publish(message('t', 'y'), origin, (error) => outcomes.push(error?.code))
      expect(outcomes.at(-1)).toBeUndefined()
    })

    it('holds for any mix of QoS, retain, outcome and moment of storing', async () => {
      const fresh = await started()
      const { engine, router, store, broker } = fresh
      const received: string[] = []
      const kept = new Inbox('kept', true, ({ payload }) => received.push(payload.toString()))
      router.subscribe(kept, subscription('stored/#', 2))
      router.subscribe(
        new Inbox('live', false, ({ payload }) => received.push(payload.toString())),
        subscription('live/#', 2),
      )
      store.holding = true
      let late: (() => void)[] = []
      broker.published = (_packet, _client, done) => {
        if (late.length % 3 === 1) late.push(() => done())
        else done()
      }
      const step = fc.oneof(
        fc.record({
          who: fc.constantFrom('p', 'q', undefined),
          topic: fc.constantFrom('stored/1', 'live/1', 'nobody'),
          qos: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
          retain: fc.boolean(),
        }),
        fc.constantFrom('settle' as const, 'fail' as const, 'late' as const),
      )
      fc.assert(
        fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
          received.length = 0
          late = []
          const origins = { p: client(fresh, 'p'), q: client(fresh, 'q') }
          const published: Record<string, string[]> = {}
          const reported: Record<string, string[]> = {}
          const failed = new Set<string>()
          let count = 0
          for (const each of steps) {
            if (each === 'late') late.shift()?.()
            else if (each === 'settle' || each === 'fail') {
              if (store.held.length > 0) store.settle(each === 'fail' ? full : undefined)
            } else {
              const { who, topic, qos, retain } = each
              const key = who ?? 'gateway'
              const text = `${key}${++count}`
              ;(published[key] ??= []).push(text)
              const origin = who === undefined ? undefined : { client: origins[who], incoming: undefined }
              engine.publish(message(topic, text, { qos, retain }), origin, (error) => {
                ;(reported[key] ??= []).push(text)
                if (error !== undefined) failed.add(text)
              })
            }
          }
          while (store.held.length > 0) store.settle()
          while (late.length > 0) late.shift()?.()
          expect(reported).toEqual(published)
          expect(received.filter((text) => failed.has(text))).toEqual([])
          for (const [key, texts] of Object.entries(published)) {
            const got = received.filter((text) => text.startsWith(key))
            expect(got).toEqual(texts.filter((text) => got.includes(text)))
          }
        }),
        { numRuns: 500 },
      )
    })
  })
})
