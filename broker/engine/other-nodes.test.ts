import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { NodeBus, QueuedPlace } from '../contract/cluster.js'
import { GatewayError } from '../contract/errors.js'
import type { Message } from '../contract/message.js'
import type { WriteDone } from '../contract/store.js'
import { type Bench, Inbox, message, startEngine, subscription } from './fakes.js'

/** Keeps what it is handed until the test says that Redis has it. */
class FakeBus {
  handedOver = 0
  readonly queued: string[] = []
  private readonly waiting: WriteDone[] = []

  forward(): void {
    this.handedOver++
  }

  forwardQueued(node: string, { payload }: Message, { clientId, sequence }: QueuedPlace): void {
    this.handedOver++
    this.queued.push(`${node} ${clientId} ${sequence} ${payload.toString()}`)
  }

  written(done: WriteDone): void {
    this.waiting.push(done)
  }

  settle(error?: GatewayError): void {
    for (const done of this.waiting.splice(0)) done(error)
  }
}

let bus: FakeBus
let bench: Bench

beforeEach(async () => {
  bus = new FakeBus()
  bench = await startEngine(bus as unknown as NodeBus)
})
afterEach(() => bench.stop())

/** The subscriber that stands for a node. */
const otherNode = () => new Inbox('', false, () => bus.forward())

it('hands the live copy of a queued message to the node that has the session open', () => {
  const { engine, router, store } = bench
  const [here, there] = [new Inbox('here', true), new Inbox('there', true)]
  router.subscribe(there, subscription('t', 1))
  router.subscribe(here, subscription('t', 1))
  store.owners.set('there', 'b')
  const done = vi.fn()
  engine.publish(message('t', 'x', { qos: 1 }), undefined, done)
  expect([here.received, here.sequences, there.received]).toEqual([['x'], [2], []])
  expect(bus.queued).toEqual(['b there 1 x'])
  expect(done).not.toHaveBeenCalled()
  bus.settle()
  expect(done).toHaveBeenCalledExactlyOnceWith(undefined, 2)
})

it('delivers here at once, and reports in order when the other nodes have their messages', () => {
  const { engine, router } = bench
  const here = new Inbox('here')
  router.subscribe(here, subscription('#', 1))
  router.subscribe(otherNode(), subscription('far', 1))
  const log: string[] = []
  engine.publish(message('far', '1', { qos: 1 }), undefined, () => log.push('1'))
  engine.publish(message('near', '2', { qos: 1 }), undefined, () => log.push('2'))
  engine.publish(message('far', '3'), undefined, () => log.push('3'))
  expect(here.received).toEqual(['1', '2', '3'])
  expect(log).toEqual([])
  bus.settle()
  expect(log).toEqual(['1', '2', '3'])
})

it('waits for nothing at QoS 0, and where nobody elsewhere wants the message', () => {
  const { engine, router } = bench
  router.subscribe(otherNode(), subscription('far', 0))
  const done = vi.fn()
  engine.publish(message('far', '1'), undefined, done)
  engine.publish(message('near', '2', { qos: 2 }), undefined, done)
  expect(done.mock.calls).toEqual([
    [undefined, 1],
    [undefined, 0],
  ])
})

it('tells the publisher that the bus has refused its message', () => {
  const { engine, router } = bench
  router.subscribe(otherNode(), subscription('far', 1))
  const busy = new GatewayError('STORE_BUSY', 'full')
  const done = vi.fn()
  engine.publish(message('far', '1', { qos: 1 }), undefined, done)
  bus.settle(busy)
  expect(done).toHaveBeenCalledExactlyOnceWith(busy, 1)
})

it.each([0, 1] as const)('takes a will from the store before anybody gets it (QoS %i)', (qos) => {
  const { engine, router, store } = bench
  const here = new Inbox('here')
  router.subscribe(here, subscription('t', 1))
  store.holding = true
  const done = vi.fn()
  engine.publishWill(message('t', 'gone', { qos, retain: true }), 'c', done)
  expect(here.received).toEqual([])
  store.settle()
  expect(here.received).toEqual(['gone'])
  expect(store.accepted).toMatchObject([{ retain: true, will: 'c' }])
  expect(done).toHaveBeenCalledExactlyOnceWith(undefined, 1)
})

it.each([0, 1] as const)('publishes no will that another node answers for (QoS %i)', (qos) => {
  const { engine, router, store } = bench
  const here = new Inbox('here')
  router.subscribe(here, subscription('t', 1))
  store.holding = true
  const taken = new GatewayError('SESSION_TAKEN', 'elsewhere')
  const done = vi.fn()
  engine.publishWill(message('t', 'gone', { qos }), 'c', done)
  store.settle(taken)
  expect(here.received).toEqual([])
  expect(done).toHaveBeenCalledExactlyOnceWith(taken, expect.any(Number))
})

it('emits what another node has published to sessions and to handlers of the program', async () => {
  const { engine, router, broker } = bench
  const seen: string[] = []
  await new Promise<void>((resolve) =>
    broker.subscribe(
      't',
      (packet, done) => {
        seen.push(packet.payload.toString())
        done()
      },
      resolve,
    ),
  )
  const far = message('t', 'x', { qos: 1 })
  engine.emitHere(far, router.route(far).targets)
  expect(seen).toEqual(['x'])
  expect(bus.handedOver).toBe(0)
})
