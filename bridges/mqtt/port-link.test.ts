import { describe, expect, it } from 'vitest'
import { Rejected, Retryable } from '../../broker/contract/connector.js'
import { GatewayError } from '../../broker/contract/errors.js'
import { Message } from '../../broker/contract/message.js'
import type { BrokerLink } from '../../broker/contract/port.js'
import { PORT_LIMITS } from '../../broker/contract/port.js'
import { BridgePort } from '../../broker/engine/bridge-port.js'
import { createRouter } from '../../broker/router/router.js'
import { localPortEnds } from '../runtime/port-ends.js'
import { turn } from '../runtime/testing.js'
import { PortClient } from './port-link.js'

/** The broker's real end and the pipelines' real end, in one thread. */
function setUp() {
  const router = createRouter()
  const reports: (() => void)[] = []
  const broker = {
    published: [] as Message[],
    error: undefined as GatewayError | undefined,
    hold: false,
  }
  const dropped: number[] = []
  const retained = async function* (filter: string): AsyncGenerator<readonly Message[]> {
    await turn()
    if (filter === 'failing') throw new Error('the disk fails')
    if (filter === 'feeds/x')
      yield [
        new Message({ topic: filter, payload: Buffer.from('kept'), qos: 0, retain: true, receivedAt: 1 }),
      ]
  }
  const port = new BridgePort({
    router,
    engine: {
      publish: (message, _origin, done) => {
        broker.published.push(message)
        if (broker.hold) reports.push(() => done(broker.error, 0))
        else done(broker.error, 0)
      },
    },
    store: { retained },
    events: { messageDropped: (_reason, _client, count) => dropped.push(count) },
    clock: { now: () => 1, monotonic: () => 1, schedule: () => ({ cancel: () => {} }) },
    defer: setImmediate,
  })
  const connect = (): PortClient => {
    const [brokerEnd, pipelineEnd] = localPortEnds(setImmediate)
    port.attach(brokerEnd)
    return new PortClient(pipelineEnd, setImmediate)
  }
  const deliver = (payload: string, qos: 0 | 1 = 0): void => {
    const message = new Message({
      topic: 's/a',
      payload: Buffer.from(payload),
      qos,
      retain: false,
      receivedAt: 1,
    })
    for (const { subscriber, delivery } of router.route(message).targets)
      subscriber.deliver(message, delivery, undefined)
  }
  return {
    router,
    port,
    connect,
    deliver,
    broker,
    dropped,
    release: () => reports.splice(0).forEach((task) => task()),
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 6; i++) await turn()
}

const text = ({ payload }: { readonly payload: Uint8Array }): string => Buffer.from(payload).toString()

describe('the link through a port', () => {
  it('subscribes, delivers in order, and returns credit as messages are read', async () => {
    const { connect, deliver, dropped } = setUp()
    const link = connect().link('bridge:p')
    const inflow = await link.subscribe('s/#', { qos: 0, maxUnsettled: undefined })
    expect(inflow.maxUnsettled).toBe(10_000)
    let next = 0
    for (let round = 0; round < 4; round++) {
      const until = next + PORT_LIMITS.creditMessages + 1_000
      const from = next
      while (next < until) deliver(String(next++))
      const read: string[] = []
      while (read.length < until - from) read.push(...((await inflow.read()) ?? []).map(text))
      expect(read).toEqual(Array.from({ length: until - from }, (_, index) => String(from + index)))
    }
    expect(dropped).toEqual([])
  })

  it('reads all that came before it was stopped, then the end', async () => {
    const { connect, deliver, router } = setUp()
    const link = connect().link('bridge:p')
    const inflow = await link.subscribe('s/#', { qos: 0, maxUnsettled: undefined })
    for (let i = 0; i < PORT_LIMITS.creditMessages + 500; i++) deliver(String(i))
    inflow.stop()
    let count = 0
    for (let batch = await inflow.read(); batch !== undefined; batch = await inflow.read())
      count += batch.length
    expect(count).toBe(PORT_LIMITS.creditMessages + 500)
    await link.close()
    await settle()
    expect(router.subscriptionCount).toBe(0)
  })

  it('gets unsettled QoS 1 messages again after a crash, and settled ones never', async () => {
    const { connect, deliver, port } = setUp()
    const options = { qos: 1, maxUnsettled: undefined } as const
    const first = await connect().link('bridge:p').subscribe('s/#', options)
    for (const payload of ['a', 'b', 'c']) deliver(payload, 1)
    const [, second] = (await first.read()) ?? []
    first.settle(second!.token - 1)
    await settle()
    port.detach()
    deliver('d', 1)
    const inflow = await connect().link('bridge:p').subscribe('s/#', options)
    const again = (await inflow.read()) ?? []
    expect(again.map(text)).toEqual(['b', 'c', 'd'])
    expect(again.map(({ token }) => token - again[0]!.token)).toEqual([0, 1, 2])
  })

  it('publishes in order and passes on what became of it', async () => {
    const { connect, broker } = setUp()
    const link = connect().link('bridge:p')
    const publish = (payload: string): Promise<void> => publishOne(link, payload)
    await publish('1')
    expect(broker.published.map(text)).toEqual(['1'])
    broker.error = new GatewayError('STORE_BUSY', 'busy')
    await expect(publish('2')).rejects.toBeInstanceOf(Retryable)
    broker.error = new GatewayError('QUOTA_EXCEEDED', 'full')
    await expect(publish('3')).rejects.toBeInstanceOf(Rejected)
  })

  it('looks up retained messages', async () => {
    const link = setUp().connect().link('bridge:p')
    const recalled = await Promise.all(
      ['feeds/x', 'none', 'failing', 'feeds/#'].map(async (topic) => await link.recall?.(topic)),
    )
    expect(recalled.map((payload) => payload && Buffer.from(payload).toString())).toEqual([
      'kept',
      undefined,
      undefined,
      undefined,
    ])
  })

  it('has a bounded number of publishes under way', async () => {
    const { connect, broker, release } = setUp()
    broker.hold = true
    const link = connect().link('bridge:p')
    const total = PORT_LIMITS.publishesUnderWay + 10
    const message = { topic: 'f', payload: Buffer.from('x'), qos: 1, retain: false } as const
    const done = link.publish(Array.from({ length: total }, () => message))
    await settle()
    expect(broker.published.length).toBe(PORT_LIMITS.publishesUnderWay)
    release()
    await settle()
    release()
    await done
    expect(broker.published.length).toBe(total)
  })

  it('ends what waits when the port is closed', async () => {
    const { connect, broker } = setUp()
    broker.hold = true
    const client = connect()
    const link = client.link('bridge:p')
    const inflow = await link.subscribe('s/#', { qos: 0, maxUnsettled: undefined })
    const read = inflow.read()
    const publish = publishOne(link, '1')
    await settle()
    client.close()
    await expect(publish).rejects.toBeInstanceOf(Retryable)
    await expect(read).resolves.toBeUndefined()
    await expect(publishOne(link, '2')).rejects.toBeInstanceOf(Retryable)
  })
})

function publishOne(link: BrokerLink, payload: string): Promise<void> {
  return link.publish([{ topic: 'feeds/x', payload: Buffer.from(payload), qos: 1, retain: true }])
}
