import { once } from 'node:events'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Aedes, Client, PublishPacket } from 'aedes'
import type { EngineClient } from '../contract/engine.js'
import { type Bench, FakeConnection, Inbox, message, startEngine, subscription } from './fakes.js'

/** What a program that embeds the gateway finds on the broker. */

let bench: Bench | undefined
afterEach(async () => {
  await bench?.stop()
  bench = undefined
})

async function started(): Promise<Bench> {
  bench = await startEngine()
  return bench
}

function publish(broker: Aedes, packet: Partial<PublishPacket>): Promise<Error | undefined> {
  return new Promise((resolve) => {
    broker.publish(packet as PublishPacket, (error) => resolve(error))
  })
}

const properties = {
  payloadFormat: 1 as const,
  contentType: 'text/plain',
  responseTopic: 'r',
  correlationData: Buffer.from('c'),
  userProperties: [
    ['a', '1'],
    ['__proto__', '2'],
    ['a', '3'],
  ] as const,
}

describe('broker.publish', () => {
  it('reaches sessions, with everything but the topic left out, or strings as payload', async () => {
    const { broker, router } = await started()
    const a = new Inbox('a')
    router.subscribe(a, subscription('t'))
    await expect(publish(broker, { topic: 't' })).resolves.toBeNull()
    await expect(publish(broker, { topic: 't', payload: 'text', qos: 2 })).resolves.toBeNull()
    expect(a.received).toEqual(['', 'text'])
  })

  it('takes MQTT 5 properties over', async () => {
    const { broker, router } = await started()
    let got: unknown
    router.subscribe(new Inbox('a', false, (of) => (got = [of.properties, of.expiresAt])), subscription('t'))
    await publish(broker, {
      topic: 't',
      properties: {
        contentType: 'x',
        payloadFormatIndicator: true,
        messageExpiryInterval: 5,
        userProperties: { a: ['1', '2'] },
      },
    })
    const userProperties = [
      ['a', '1'],
      ['a', '2'],
    ]
    expect(got).toEqual([{ contentType: 'x', payloadFormat: 1, userProperties }, 6_000])
  })

  it('keeps order behind what is being stored, and tells a failure', async () => {
    const { broker, router, store } = await started()
    const a = new Inbox('a')
    router.subscribe(a, subscription('t'))
    store.holding = true
    const first = publish(broker, { topic: 't', payload: '1', qos: 1, retain: true })
    const second = publish(broker, { topic: 't', payload: '2' })
    const third = publish(broker, { topic: 't', payload: '3', qos: 1, retain: true })
    store.settle()
    await Promise.all([first, second])
    expect(a.received).toEqual(['1', '2'])
    store.settle({ code: 'STORE_UNWRITABLE' } as never)
    await expect(third).resolves.toMatchObject({ code: 'STORE_UNWRITABLE' })
    await publish(broker, { topic: 't', payload: '4' })
    expect(a.received).toEqual(['1', '2', '4'])
  })

  it('refuses topic names that are none, with and without storing', async () => {
    const { broker, store } = await started()
    for (const packet of [{ topic: 'a/+' }, { topic: '', qos: 1 as const }, { topic: '#', retain: true }])
      await expect(publish(broker, packet)).resolves.toMatchObject({ code: 'TOPIC_INVALID' })
    expect(store.accepted).toEqual([])
  })

  it('publishes a packet that a listener was given again as a message of its own', async () => {
    const { engine, broker, router } = await started()
    const a = new Inbox('a')
    router.subscribe(a, subscription('#'))
    broker.once('publish', (packet: PublishPacket) => {
      broker.publish({ ...packet, topic: 'copy' }, () => {})
    })
    engine.publish(message('t', '1'), undefined, () => {})
    expect(a.received).toEqual(['1', '1'])
  })
})

describe('broker.subscribe', () => {
  it('calls handlers with the packet, until it is unsubscribed', async () => {
    const { engine, broker, reported } = await started()
    const got: unknown[] = []
    const handler = (packet: PublishPacket, done: () => void): void => {
      got.push([packet.topic, packet.payload.toString(), packet.properties])
      done()
    }
    broker.subscribe('t/+', handler, () => {})
    broker.subscribe('t/+', handler, () => {})
    const done = vi.fn()
    engine.publish(message('t/1', 'x', { properties, expiresAt: 3_000 }), undefined, done)
    expect(got).toEqual([
      [
        't/1',
        'x',
        {
          messageExpiryInterval: 2,
          payloadFormatIndicator: true,
          contentType: 'text/plain',
          responseTopic: 'r',
          correlationData: Buffer.from('c'),
          userProperties: Object.assign(Object.create(null) as object, { a: ['1', '3'], ['__proto__']: '2' }),
        },
      ],
    ])
    expect(done).toHaveBeenCalledWith(undefined, 1)
    await new Promise<void>((resolve) => {
      broker.unsubscribe('t/+', handler, resolve)
    })
    engine.publish(message('t/1', 'x'), undefined, () => {})
    expect(got).toHaveLength(1)
    broker.subscribe(
      't',
      () => {
        throw new Error('oops')
      },
      () => {},
    )
    engine.publish(message('t', 'x'), undefined, done)
    expect(done).toHaveBeenLastCalledWith(undefined, 1)
    expect(reported.list).toEqual(['listener: oops'])
    expect(() => broker.subscribe('a#', handler, () => {})).toThrow(/wildcard/)
  })

  it('answers the publisher when the handlers have called back, and emits meanwhile', async () => {
    const { engine, broker, router } = await started()
    const a = new Inbox('a')
    router.subscribe(a, subscription('t'))
    const answers: (() => void)[] = []
    broker.subscribe(
      't',
      (_packet, done) => answers.push(done),
      () => {},
    )
    const log: number[] = []
    for (const n of [1, 2]) engine.publish(message('t', `${n}`), undefined, () => log.push(n))
    expect([a.received, log]).toEqual([['1', '2'], []])
    answers[1]?.()
    expect(log).toEqual([])
    answers[0]?.()
    answers[0]?.()
    expect(log).toEqual([1, 2])
  })

  it('hands out payloads that stay, not views of a read buffer', async () => {
    const { engine, broker } = await started()
    const kept: (string | Buffer)[] = []
    broker.subscribe(
      'h',
      (packet, done) => {
        kept.push(packet.payload)
        done()
      },
      () => {},
    )
    const buffer = Buffer.from('..value..')
    engine.publish(message('h', '', { payload: buffer.subarray(2, 7) }), undefined, () => {})
    broker.on('publish', (packet) => kept.push(packet.payload))
    engine.publish(message('e', '', { payload: buffer.subarray(2, 7) }), undefined, () => {})
    buffer.fill('x')
    expect(kept.map(String)).toEqual(['value', 'value'])
  })

  it('hears $SYS notices of Aedes on $ filters without counting as a subscription of the router', async () => {
    const fresh = await started()
    const { engine, broker, router } = fresh
    const got: string[] = []
    broker.subscribe(
      '$SYS/+/new/clients',
      (packet, done) => {
        got.push(packet.payload.toString())
        done()
      },
      () => {},
    )
    const client = engine.client(new FakeConnection('c'))
    engine.attach(client)
    expect(got).toEqual(['c'])
    expect(router.subscriptionCount).toBe(0)
    engine.detach(client)
  })
})

describe('clients', () => {
  it('come and go with the documented events and members', async () => {
    const { engine, broker } = await started()
    const log: string[] = []
    for (const event of ['client', 'clientReady', 'clientDisconnect'] as const)
      broker.on(event, (of: Client) =>
        log.push(`${event} ${of.id} ${of.connecting} ${of.connected} ${of.closed}`),
      )
    const connection = new FakeConnection('constructor')
    const client = engine.client(connection)
    const face = client as unknown as Client
    engine.attach(client)
    expect(() => engine.attach(engine.client(new FakeConnection('constructor')))).toThrow(/registered/)
    const connected = once(face, 'connected')
    engine.events.clientReady(client)
    await connected
    expect(broker.connectedClients).toBe(1)
    expect([face.version, face.clean, face.req]).toEqual([4, true, undefined])
    expect(face.conn).toMatchObject({ remoteAddress: '192.0.2.7', remotePort: 4711 })
    engine.detach(client)
    engine.detach(client)
    expect(broker.connectedClients).toBe(0)
    expect(log).toEqual([
      'client constructor true false false',
      'clientReady constructor false true false',
      'clientDisconnect constructor false false true',
    ])
  })

  it('publish, subscribe, unsubscribe and close through the session', async () => {
    const { engine, reported } = await started()
    const connection = new FakeConnection('c')
    const client = engine.client(connection) as unknown as Client
    const answered = (call: (callback: (error?: Error) => void) => void): Promise<Error | undefined> =>
      new Promise((resolve) => {
        call(resolve)
      })
    const packet = { cmd: 'publish', topic: 't', payload: 'x', qos: 1, retain: true, dup: false } as const
    await answered((callback) => client.publish(packet, callback))
    await answered((callback) =>
      client.subscribe(
        [
          { topic: 'a', qos: 1 },
          { topic: 'b/#', qos: 0 },
        ],
        callback,
      ),
    )
    await answered((callback) => client.subscribe({ topic: 'c', qos: 2 }, callback))
    await answered((callback) => client.unsubscribe([{ topic: 'a', qos: 0 }], callback))
    await expect(
      answered((callback) => client.subscribe({ topic: 'a#', qos: 0 }, callback)),
    ).resolves.toMatchObject({ code: 'TOPIC_INVALID' })
    await expect(answered((callback) => client.emptyOutgoingQueue(callback))).resolves.toBeInstanceOf(Error)
    client.subscribe({ topic: 'a#', qos: 0 })
    await vi.waitFor(() =>
      expect(reported.list).toEqual(['listener: invalid topic filter: wildcard-misplaced']),
    )
    await answered((callback) => client.close(callback))
    expect(connection.log).toEqual([
      'deliver t x false',
      'subscribe a:1 b/#:0',
      'subscribe c:2',
      'unsubscribe a',
      'close administrative',
    ])
  })

  it('are closed by name through the topic that Aedes documents for it, and when the broker closes', async () => {
    const fresh = await started()
    const { engine, broker } = fresh
    const connections = ['a', 'b'].map((id) => new FakeConnection(id))
    for (const connection of connections) engine.attach(engine.client(connection))
    await publish(broker, { topic: '$SYS/other/new/clients', payload: 'a' })
    expect(connections.map((each) => each.log)).toEqual([['close administrative'], []])
    await fresh.stop()
    expect(connections[1]?.log).toEqual(['close server_shutdown'])
  })

  it('do not come in by broker.handle', async () => {
    const { broker, reported } = await started()
    const destroy = vi.fn()
    broker.handle({ destroy } as never)
    expect(destroy).toHaveBeenCalledOnce()
    expect(reported.list[0]).toMatch(/handle is not in use/)
  })
})

describe('events of connections', () => {
  it('have the documented arguments', async () => {
    const { engine, broker } = await started()
    const client: EngineClient = engine.client(new FakeConnection('c'))
    const seen: unknown[] = []
    const events = [
      'connackSent',
      'ping',
      'ack',
      'subscribe',
      'unsubscribe',
      'keepaliveTimeout',
      'clientError',
      'connectionError',
    ]
    for (const event of events)
      (broker as NodeJS.EventEmitter).on(event, (...args: unknown[]) => seen.push([event, ...args]))
    const error = new Error('e')
    engine.events.connackSent(client, 0, true)
    engine.events.ping(client)
    engine.events.ack(client, message('t', 'x', { qos: 1 }))
    engine.events.ack(client, undefined)
    engine.events.subscribed(client, [subscription('t', 1)])
    engine.events.unsubscribed(client, ['t'])
    engine.events.keepAliveTimeout(client)
    engine.events.clientError(client, error)
    engine.events.connectionError(client, error)
    expect(seen).toEqual([
      ['connackSent', { cmd: 'connack', returnCode: 0, sessionPresent: true }, client],
      ['ping', { cmd: 'pingreq' }, client],
      ['ack', expect.objectContaining({ cmd: 'publish', topic: 't', qos: 1 }), client],
      ['ack', { cmd: 'pubrel' }, client],
      ['subscribe', [expect.objectContaining({ topic: 't', qos: 1 })], client],
      ['unsubscribe', ['t'], client],
      ['keepaliveTimeout', client],
      ['clientError', client, error],
      ['connectionError', client, error],
    ])
  })

  it('never throw, whatever listeners do or nobody listening', async () => {
    const { engine, broker, reported } = await started()
    const client = engine.client(new FakeConnection('c'))
    engine.events.clientError(client, new Error('unheard'))
    const fail = (): never => {
      throw new Error('listener')
    }
    for (const event of ['client', 'ping', 'error']) (broker as NodeJS.EventEmitter).on(event, fail)
    engine.attach(client)
    engine.events.ping(client)
    engine.detach(client)
    expect(reported.list).toEqual(['listener: listener', 'listener: listener'])
  })
})
