import mqttPacket, { type Packet } from 'mqtt-packet'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseConfig } from '../../config/load.js'
import { compileAccessPolicy } from '../access/policy.js'
import { GatewayError, type ErrorCode } from '../contract/errors.js'
import type { PipelineEvents, SessionEvents, StoreEvents } from '../contract/events.js'
import { ManualClock } from '../contract/testing/manual-clock.js'
import type { CloseCause, ConnectionInfo } from '../contract/transport.js'
import { createEngine } from '../engine/engine.js'
import { StorePersistence } from '../engine/persistence.js'
import { createRouter } from '../router/router.js'
import { MemoryStore } from '../store/memory/memory-store.js'
import type { SessionDependencies } from './session-layer.js'
import { SessionService } from './session-service.js'

/** Events that nobody looks at. */
const silent = new Proxy({}, { get: () => () => {} })

const toStop: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop()
})

/** A client with a durable session and a will, whose store is about to fail. */
async function connected(putWill?: () => Promise<void>) {
  const { limits } = parseConfig({})
  const clock = new ManualClock()
  const router = createRouter()
  const bounds = { ...limits, whenFull: limits.whenQueueFull }
  const store = new MemoryStore(bounds, silent as StoreEvents, clock)
  await store.open()
  if (putWill !== undefined) store.putWill = putWill
  const retained = async () => {
    const topics: string[] = []
    for await (const page of store.retained('#')) topics.push(...page.map(({ topic }) => topic))
    return topics
  }
  const publishing = createEngine({
    store,
    router,
    clock,
    events: silent as PipelineEvents,
    nodeId: 'n',
    persistence: new StorePersistence(store),
  })
  await publishing.start()
  toStop.push(() => publishing.stop())
  const principal = { username: undefined, roles: [], claims: {}, expiresAt: undefined, grantedBy: 'test' }
  const defects: unknown[] = []
  const dependencies: SessionDependencies = {
    engine: publishing.engine,
    router,
    store,
    links: undefined,
    authentication: { decide: () => Promise.resolve({ kind: 'granted', principal }) },
    enhancedAuthentication: { mechanism: () => undefined },
    policy: compileAccessPolicy(undefined),
    events: silent as SessionEvents,
    clock,
    limits,
    settings: {},
    stopWithinMs: 1_000,
    newClientId: () => 'assigned',
    onDefect: (error) => void defects.push(error),
  }
  const sessions = new SessionService(dependencies)
  toStop.push(() => sessions.stop())

  const sent: Packet[] = []
  const parser = mqttPacket.parser({ protocolVersion: 5 })
  parser.on('packet', (packet) => sent.push(packet))
  let closed: CloseCause | undefined
  const outbox = {
    send: (bytes: Buffer) => void parser.parse(bytes),
    close: (cause: CloseCause) => void (closed = cause),
    pause: () => {},
    resume: () => {},
    pendingBytes: 0,
    congested: false,
  }
  const open = vi.spyOn(store, 'openSession')
  const connection = sessions.accept({ connectionId: 1, listener: 'l' } as ConnectionInfo, outbox)
  const send = (packet: Packet): void => {
    connection.received(mqttPacket.generate(packet, { protocolVersion: 5 }))
  }
  const properties = { sessionExpiryInterval: 60 }
  send({
    cmd: 'connect',
    clientId: 'c',
    clean: true,
    keepalive: 0,
    protocolId: 'MQTT',
    protocolVersion: 5,
    properties,
    will: { topic: 'wills/c', payload: Buffer.from('gone'), qos: 1, retain: true },
  })
  await vi.waitUntil(() => sent.length > 0 || closed !== undefined)
  const stored = await (open.mock.results[0]?.value as ReturnType<typeof store.openSession>)
  toStop.push(() => {
    connection.closed('peer_closed')
    return Promise.resolve()
  })
  return { send, sent, stored, retained, defects, connection, sessions, clock, closed: () => closed }
}

describe('a SUBSCRIBE that cannot be stored', () => {
  it.each<[ErrorCode, CloseCause, number]>([
    ['STORE_UNWRITABLE', 'server_busy', 0x89],
    ['STORE_BUSY', 'server_busy', 0x89],
    ['STORE_CLOSED', 'server_busy', 0x89],
    ['SESSION_TAKEN', 'taken_over', 0x8e],
  ])('for the reason %s ends the connection, and is no defect', async (code, cause, reasonCode) => {
    const { send, sent, stored, defects, closed } = await connected()
    stored.subscribe = () => Promise.reject(new GatewayError(code, 'made to fail'))
    send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] })
    await vi.waitUntil(() => closed() !== undefined)
    expect([closed(), sent.at(-1)]).toMatchObject([cause, { cmd: 'disconnect', reasonCode }])
    expect(defects).toEqual([])
  })

  it('for another reason is one', async () => {
    const { send, stored, defects, closed } = await connected()
    stored.subscribe = () => Promise.reject(new Error('made to fail'))
    send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] })
    await vi.waitUntil(() => closed() !== undefined)
    expect([closed(), defects.length]).toEqual(['internal_error', 1])
  })
})

it('the end of a connection whose session cannot be closed is no defect either', async () => {
  const { stored, connection, defects } = await connected()
  const close = vi.fn(() => Promise.reject(new GatewayError('STORE_UNWRITABLE', 'made to fail')))
  stored.close = close
  connection.closed('peer_closed')
  await vi.waitUntil(() => close.mock.calls.length > 0)
  await new Promise(setImmediate)
  expect(defects).toEqual([])
})

it('the end of the service is not held up by a session that cannot be closed', async () => {
  const { stored, sessions, clock } = await connected()
  stored.close = () => Promise.reject(new GatewayError('STORE_UNWRITABLE', 'made to fail'))
  await sessions.stop()
  expect(clock.pendingTimers).toBe(0)
})

it('a client whose will cannot be stored is not accepted, and leaves none', async () => {
  const refuse = () => Promise.reject(new GatewayError('STORE_UNWRITABLE', 'made to fail'))
  const { sent, stored, retained, connection, closed, defects } = await connected(refuse)
  expect([sent, closed(), defects]).toEqual([[], 'server_busy', []])
  const released = vi.spyOn(stored, 'close')
  connection.closed('server_busy')
  await vi.waitUntil(() => released.mock.calls.length > 0)
  expect(await retained()).toEqual([])
})

it('the will of a client that was accepted is published', async () => {
  const { stored, retained, connection } = await connected()
  const released = vi.spyOn(stored, 'close')
  connection.closed('peer_closed')
  await vi.waitUntil(() => released.mock.calls.length > 0)
  expect(await retained()).toEqual(['wills/c'])
})
