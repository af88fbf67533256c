import { execFile } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Gateway } from '../broker/app/index.js'
import { PROGRAM } from './harness/openclaw.js'
import { TestGateway } from './harness/gateway.js'

/** What `createGateway` gives a program: the Aedes broker with its documented hooks, events and methods. */

type Broker = Gateway['broker']

const run = promisify(execFile)

let gateway: TestGateway
let broker: Broker

beforeEach(async () => {
  gateway = new TestGateway({ store: { type: 'level' } })
  await gateway.start()
  broker = gateway.running.broker
})
afterEach(async () => {
  await gateway.dispose()
  expect(gateway.errors).toEqual([])
})

/** Resolves with the arguments of the next event. */
const next = (event: string): Promise<unknown[]> => once(broker as unknown as NodeJS.EventEmitter, event)
const idOf = (client: unknown): string => (client as { id: string }).id

describe('hooks', () => {
  it('preConnect turns clients away before anything else', async () => {
    broker.preConnect = (client, packet, callback) => {
      const { remoteAddress } = client.conn as unknown as { remoteAddress: string }
      callback(null, remoteAddress === '127.0.0.1' && packet.clientId === 'welcome')
    }
    expect((await gateway.connect({ clientId: 'welcome' })).connack.reasonCode).toBe(0)
    expect((await gateway.connect({ clientId: 'other' })).connack.reasonCode).toBe(0x87)
    const error = next('connectionError')
    broker.preConnect = (_client, _packet, callback) => callback(new Error('closed today'), false)
    await gateway.connect({ clientId: 'welcome' })
    expect((await error)[1]).toMatchObject({ message: 'closed today' })
  })

  it('authenticate decides, and names the return code', async () => {
    broker.authenticate = (_client, username, password, callback) => {
      if (username === 'matteo') callback(null, String(password) === 'collina')
      else callback(Object.assign(new Error('who?'), { returnCode: 4 }), null)
    }
    const as = async (username: string, password: string) =>
      (await gateway.connect({ username, password: Buffer.from(password), protocolVersion: 4 })).connack
        .returnCode
    expect(await as('matteo', 'collina')).toBe(0)
    expect(await as('matteo', 'wrong')).toBe(5)
    expect(await as('somebody', 'collina')).toBe(4)
  })

  it('authorizePublish refuses and overwrites payloads', async () => {
    broker.authorizePublish = (_client, packet, callback) => {
      if (packet.topic === 'aaaa') {
        callback(new Error('wrong topic'))
        return
      }
      if (packet.topic === 'bbb') packet.payload = Buffer.from('overwritten')
      callback(null)
    }
    const client = await gateway.connect()
    await client.subscribe('#', 1)
    expect((await client.publishAcknowledged('aaaa', 'x', { qos: 1 })).reasonCode).toBe(0x87)
    client.publish('bbb', 'x')
    expect((await client.nextPublish()).payload.toString()).toBe('overwritten')
  })

  it('authorizeSubscribe changes the QoS and refuses', async () => {
    broker.authorizeSubscribe = (_client, subscription, callback) => {
      if (subscription.topic === 'aaaa') callback(new Error('wrong topic'), null)
      else if (subscription.topic === 'ccc') callback(null, null)
      else callback(null, { ...subscription, qos: 1 })
    }
    const client = await gateway.connect()
    const codes = await client.subscribe([{ topic: 'aaaa' }, { topic: 'bbb', qos: 2 }, { topic: 'ccc' }])
    expect(codes).toEqual([0x87, 1, 0x87])
    const old = await gateway.connect({ protocolVersion: 4 })
    expect(await old.subscribe([{ topic: 'ccc' }])).toEqual([128])
  })

  it('authorizeForward withholds and changes messages for one receiver', async () => {
    const client = await gateway.connect({ clientId: 'reader' })
    const other = await gateway.connect({ clientId: 'other' })
    broker.authorizeForward = (receiver, packet) => {
      if (idOf(receiver) !== 'reader') return packet
      return packet.topic === 'secret' ? null : { ...packet, payload: Buffer.from('for you') }
    }
    for (const each of [client, other]) await each.subscribe('#', 1)
    for (const topic of ['secret', 'open']) await other.publishAcknowledged(topic, 'x', { qos: 1 })
    expect((await client.nextPublish()).payload.toString()).toBe('for you')
    expect(await client.settled()).toEqual([])
    expect(await other.nextPayloads(2)).toEqual(['x', 'x'])
  })

  it('published sees every message, those of the program too', async () => {
    const seen: string[] = []
    broker.published = (packet, client, callback) => {
      if (!packet.topic.startsWith('$'))
        seen.push(`${packet.topic} by ${(client as { id: string } | null)?.id ?? 'the program'}`)
      callback()
    }
    const client = await gateway.connect({ clientId: 'c' })
    await client.publishAcknowledged('one', 'x', { qos: 1 })
    await new Promise<void>((resolve) => {
      broker.publish({ cmd: 'publish', topic: 'two', payload: 'y', qos: 1, retain: false, dup: false }, () =>
        resolve(),
      )
    })
    expect(seen).toEqual(['one by c', 'two by the program'])
  })
})

describe('events', () => {
  it('tell the life of a client', async () => {
    const seen: string[] = []
    const emitter = broker as unknown as NodeJS.EventEmitter
    for (const event of ['client', 'clientReady', 'clientDisconnect'])
      emitter.on(event, (client: unknown) => seen.push(`${event} ${idOf(client)}`))
    for (const event of ['connackSent', 'ping', 'subscribe', 'unsubscribe', 'ack'])
      emitter.on(event, (_subject: unknown, client: unknown) => seen.push(`${event} ${idOf(client)}`))
    emitter.on('publish', (packet: { topic: string }, client: unknown) => {
      if (!packet.topic.startsWith('$')) seen.push(`publish ${packet.topic} ${idOf(client)}`)
    })
    const client = await gateway.connect({ clientId: 'c' })
    await client.subscribe('a', 1)
    client.publish('a', 'x', { qos: 1 })
    await client.acknowledge(await client.nextPublish())
    await client.unsubscribe('a')
    await client.settled()
    const gone = next('clientDisconnect')
    await client.disconnect()
    await gone
    expect(seen.sort()).toEqual(
      [
        'client c',
        'connackSent c',
        'clientReady c',
        'subscribe c',
        'publish a c',
        'ack c',
        'unsubscribe c',
        'ping c',
        'clientDisconnect c',
      ].sort(),
    )
    expect(broker.connectedClients).toBe(0)
  })

  it('tell of clients that break the rules, and of those that fall silent', async () => {
    const connectionError = next('connectionError')
    const stranger = await gateway.open()
    stranger.write([0xc0, 0x00])
    await stranger.closedByPeer()
    expect((await connectionError)[1]).toBeInstanceOf(Error)

    const clientError = next('clientError')
    const client = await gateway.connect({ clientId: 'rude' })
    client.sendConnect({ clientId: 'rude' })
    await client.closedByPeer()
    const [culprit, error] = await clientError
    expect([idOf(culprit), error]).toEqual(['rude', expect.any(Error)])

    const timeout = next('keepaliveTimeout')
    await gateway.connect({ clientId: 'silent', keepalive: 1 })
    gateway.clock.skip(2)
    expect(idOf((await timeout)[0])).toBe('silent')
  })

  it('end with closed', async () => {
    const closed = next('closed')
    await gateway.stop()
    await closed
    expect(broker.closed).toBe(true)
  })
})

describe('methods', () => {
  it('broker.publish reaches clients; broker.subscribe hears them until broker.unsubscribe', async () => {
    const client = await gateway.connect()
    await client.subscribe('down/#', 2)
    const payloads: string[] = []
    const handler = (packet: { payload: string | Buffer }, callback: () => void) => {
      payloads.push(packet.payload.toString())
      callback()
    }
    await new Promise<void>((resolve) => broker.subscribe('up/+', handler, resolve))
    await client.publishAcknowledged('up/1', 'heard', { qos: 1 })
    await new Promise<void>((resolve) => broker.unsubscribe('up/+', handler, resolve))
    await client.publishAcknowledged('up/1', 'not heard', { qos: 1 })
    expect(payloads).toEqual(['heard'])
    for (const qos of [0, 1, 2] as const) {
      const packet = {
        cmd: 'publish',
        topic: `down/${qos}`,
        payload: 'x',
        qos,
        retain: false,
        dup: false,
      } as const
      broker.publish(packet, () => {})
      const publish = await client.nextPublish()
      expect([publish.topic, publish.qos]).toEqual([`down/${qos}`, qos])
      await client.acknowledge(publish)
    }
  })

  it.each([{ sessionExpiryInterval: 0 }, { sessionExpiryInterval: 60 }])(
    'client.publish, subscribe, unsubscribe and close act on one client (%o)',
    async (properties) => {
      const ready = next('clientReady')
      const client = await gateway.connect({ clientId: 'c', properties })
      const [own] = (await ready) as [Parameters<Broker['authorizeForward']>[0]]
      const called = (run: (callback: (error?: Error) => void) => void) =>
        new Promise<void>((resolve, reject) => run((error) => (error ? reject(error) : resolve())))
      for (const qos of [0, 1, 2] as const) {
        const packet = {
          cmd: 'publish',
          topic: 'yours',
          payload: 'x',
          qos,
          retain: false,
          dup: false,
        } as const
        await called((callback) => own.publish(packet, callback))
        const publish = await client.nextPublish()
        expect([publish.topic, publish.qos]).toEqual(['yours', qos])
        await client.acknowledge(publish)
      }
      await called((callback) => own.subscribe({ topic: 'a', qos: 1 }, callback))
      await client.publishAcknowledged('a', 'one', { qos: 1 })
      expect(await client.nextPayloads(1)).toEqual(['one'])
      await called((callback) => own.unsubscribe({ topic: 'a', qos: 1 }, callback))
      await client.publishAcknowledged('a', 'two', { qos: 1 })
      expect((await client.settled()).filter(({ cmd }) => cmd === 'publish')).toEqual([])
      const closed = vi.fn()
      own.close(closed)
      expect(await client.disconnectedByPeer()).toBe(0x98)
      await vi.waitFor(() => expect(closed).toHaveBeenCalledOnce())
    },
  )
})

describe('a program', () => {
  it('may hold several gateways, which do not see each other', async () => {
    const second = new TestGateway({})
    await second.start()
    try {
      second.running.broker.authorizePublish = (_client, _packet, callback) => callback(new Error('no'))
      const here = await gateway.connect({ clientId: 'same' })
      const there = await second.connect({ clientId: 'same' })
      await here.subscribe('#')
      await there.subscribe('#')
      here.publish('t', 'here')
      there.publish('t', 'there')
      expect(await here.nextPayloads(1)).toEqual(['here'])
      expect(await there.settled()).toEqual([])
      expect((await here.settled()).length).toBe(0)
      await second.stop()
      here.publish('t', 'still here')
      expect(await here.nextPayloads(1)).toEqual(['still here'])
    } finally {
      await second.dispose()
    }
  })

  it('ends by itself behind stop: nothing keeps the process', async () => {
    const script = `
      import { createGateway } from ${JSON.stringify(path.join(path.dirname(PROGRAM), 'index.js'))}
      const listeners = [{ name: 'a', type: 'tcp', port: 0 }, { name: 'b', type: 'ws', port: 0 }]
      const options = { store: { type: 'memory' }, admin: { port: 0 }, log: { level: 'silent' } }
      for (let i = 0; i < 2; i++) {
        const gateway = await createGateway({ ...options, listeners })
        await gateway.start()
        await gateway.stop()
      }
      console.log('stopped')`
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 })
    expect(stdout).toBe('stopped\n')
  })

  it('may stop a gateway twice, or while it starts', async () => {
    const client = await gateway.connect()
    const { running } = gateway
    const both = Promise.all([running.stop(), running.stop()])
    await client.closedByPeer()
    await both
    await gateway.stop()

    const early = new TestGateway({})
    const starting = early.start().then(
      () => 'started',
      (error: unknown) => (error as { code?: string }).code,
    )
    await vi.waitFor(() => expect(() => early.running).not.toThrow())
    await early.running.stop()
    expect(['started', 'NOT_RUNNING']).toContain(await starting)
    await early.dispose()
  })
})
