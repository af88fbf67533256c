import { Readable } from 'node:stream'
import { EventEmitter } from 'node:events'
import { Aedes } from 'aedes'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type {
  AedesEmitter,
  AedesPersistence,
  PacketHandler,
  PipelinePacket,
  Thenable,
} from './aedes-internals.js'
import { internals } from './aedes-internals.js'

/**
 * What `engine/` relies on in Aedes beyond its documentation, member by member, shown on Aedes alone. A failure
 * here after an upgrade names what has changed; nothing else has to be read to know what to look at.
 */

/** Records the steps in order, and calls back at once. */
function recorded() {
  const steps: string[] = []
  const packets = new Set<PipelinePacket>()
  const handlers: { filter: string; handler: PacketHandler }[] = []
  function step(name: string, packet: PipelinePacket): void {
    if (packet.topic.startsWith('$SYS/')) return
    steps.push(name)
    packets.add(packet)
  }
  /** Fails the test on anything but one `.then(resolved, rejected)`. */
  function thenOnly<T>(value: T): Thenable<T> {
    return new Proxy<Thenable<T>>(
      { then: () => {} },
      {
        get(_, member) {
          steps.push(`uses .${String(member)}`)
          return (resolve: unknown, reject: unknown) => {
            expect([typeof resolve, typeof reject]).toEqual(['function', 'function'])
            ;(resolve as (value: T) => void)(value)
          }
        },
      },
    )
  }
  const persistence: AedesPersistence = {
    setup: async () => {},
    storeRetained(packet) {
      step('storeRetained', packet)
      return thenOnly(undefined)
    },
    subscriptionsByTopic(topic) {
      if (!topic.startsWith('$SYS/')) steps.push('subscriptionsByTopic')
      return thenOnly([])
    },
    outgoingEnqueueCombi(_, packet) {
      step('outgoingEnqueueCombi', packet)
      return thenOnly(undefined)
    },
    streamWill: () => Readable.from([]),
  }
  const mq: AedesEmitter = {
    on(filter, handler, done) {
      handlers.push({ filter, handler })
      done?.()
      return this
    },
    removeListener(filter, _handler, done) {
      steps.push(`removeListener ${filter}`)
      done?.()
      return this
    },
    emit(packet, done) {
      step('emit', packet)
      done()
      return this
    },
    close(done) {
      steps.push('mq.close')
      done()
      return this
    },
  }
  return { steps, packets, handlers, persistence, mq }
}

let open: Aedes | undefined
afterEach(() => {
  vi.useRealTimers()
  open?.close()
  open = undefined
})

async function started(parts: Pick<ReturnType<typeof recorded>, 'persistence' | 'mq'>): Promise<Aedes> {
  open = await Aedes.createBroker({ id: 'node', persistence: parts.persistence, mq: parts.mq })
  return open
}

describe('Aedes 1.2.0', () => {
  it('takes QoS 1 and 2 through retained, queues, emission, hook, event, callback, within the call', async () => {
    const parts = recorded()
    const broker = await started(parts)
    broker.published = (_packet, _client, done) => {
      parts.steps.push('published')
      done()
    }
    broker.on('publish', (packet) => {
      if (!packet.topic.startsWith('$SYS/')) parts.steps.push('publish event')
    })
    for (const qos of [1, 2] as const) {
      parts.steps.length = 0
      internals(broker).publish({ topic: 'a', payload: Buffer.alloc(0), qos, retain: true }, null, () => {
        parts.steps.push('done')
      })
      expect(parts.steps).toEqual([
        'storeRetained',
        'uses .then',
        'subscriptionsByTopic',
        'uses .then',
        'outgoingEnqueueCombi',
        'uses .then',
        'emit',
        'published',
        'done',
        'publish event',
      ])
    }
  })

  it('takes QoS 0 through emission alone, and through retained where the flag is set', async () => {
    const parts = recorded()
    const broker = await started(parts)
    internals(broker).publish({ topic: 'a', qos: 0 }, null, () => parts.steps.push('done'))
    internals(broker).publish({ topic: 'a', qos: 1 }, null, () => {})
    expect(parts.steps.slice(0, 3)).toEqual(['emit', 'done', 'subscriptionsByTopic'])
    parts.steps.length = 0
    internals(broker).publish({ topic: 'a', qos: 0, retain: true }, null, () => {})
    expect(parts.steps).toEqual(['storeRetained', 'uses .then', 'emit'])
  })

  it('gives one new packet to all steps of a message, and the one it was given to hook and event', async () => {
    const parts = recorded()
    const broker = await started(parts)
    const given = { cmd: 'publish', topic: 'a', payload: Buffer.from('x'), qos: 1, retain: true, dup: false }
    const seen: unknown[] = []
    broker.published = (packet, _client, done) => {
      seen.push(packet)
      done()
    }
    broker.on('publish', (packet) => seen.push(packet))
    internals(broker).publish(given, null, () => {})
    expect(parts.packets.size).toBe(1)
    const [packet] = parts.packets
    expect(packet).not.toBe(given)
    expect(packet).toMatchObject({ topic: 'a', qos: 1, retain: true })
    expect(packet?.payload).toBe(given.payload)
    expect(seen).toEqual([given, given])
    expect(seen[0]).toBe(given)
  })

  it('copies named fields to its packet, properties by reference, and no symbols', async () => {
    const parts = recorded()
    const broker = await started(parts)
    const mark = Symbol('mark')
    const properties = { contentType: 'text/plain' }
    internals(broker).publish({ topic: 'a', qos: 1, clientId: 'c', properties, [mark]: 1 }, null, () => {})
    const [packet] = parts.packets
    expect(packet?.properties).toBe(properties)
    expect(packet?.clientId).toBe('c')
    expect(Object.getOwnPropertySymbols(packet)).toEqual([])
  })

  it('sets the client identifier on its packet before the emission', async () => {
    const parts = recorded()
    const broker = await started(parts)
    internals(broker).publish({ topic: 'a', qos: 0 }, { id: 'c' }, () => {})
    expect([...parts.packets][0]?.clientId).toBe('c')
  })

  it('ends a publication whose storing fails with the error, and does not emit it', async () => {
    const parts = recorded()
    const failure = new Error('disk full')
    parts.persistence.outgoingEnqueueCombi = () => ({ then: (_, reject) => reject(failure) })
    const broker = await started(parts)
    const done = vi.fn()
    internals(broker).publish({ topic: 'a', qos: 1 }, null, done)
    expect(done).toHaveBeenCalledExactlyOnceWith(failure)
    expect(parts.steps).not.toContain('emit')
  })

  it('refuses topics of more than 100 levels before the first step', async () => {
    const parts = recorded()
    const broker = await started(parts)
    const done = vi.fn()
    internals(broker).publish({ topic: 'a/'.repeat(99) + 'a', qos: 0 }, null, done)
    internals(broker).publish({ topic: 'a/'.repeat(100) + 'a', qos: 0 }, null, done)
    expect(done.mock.calls).toEqual([[null], [expect.any(Error)]])
    expect(parts.steps).toEqual(['emit'])
  })

  it('listens to three topics of its own, and hands subscriptions of programs to mq as they are', async () => {
    const parts = recorded()
    const broker = await started(parts)
    expect(parts.handlers.map((each) => each.filter)).toEqual([
      '$SYS/+/heartbeat',
      '$SYS/+/birth',
      '$SYS/+/new/clients',
    ])
    const handler = (): void => {}
    broker.subscribe('a/+', handler, () => {})
    expect(parts.handlers.at(-1)).toEqual({ filter: 'a/+', handler })
    broker.unsubscribe('a/+', handler, () => {})
    expect(parts.steps).toEqual(['removeListener a/+'])
  })

  it('registers a client by its id alone, at once where the id is free, and announces it', async () => {
    const parts = recorded()
    const broker = await started(parts)
    const log: string[] = []
    broker.on('client', () => log.push('client'))
    broker.on('clientDisconnect', () => log.push('clientDisconnect'))
    broker.on('publish', (packet) => log.push(`${packet.topic} ${packet.payload.toString()}`))
    const used = new Set<string | symbol>()
    const client = new Proxy(
      { id: '__proto__' },
      {
        get(target, member) {
          used.add(member)
          return Reflect.get(target, member) as unknown
        },
      },
    )
    internals(broker).registerClient(client)
    expect(internals(broker).clients['__proto__']).toBe(client)
    expect(broker.connectedClients).toBe(1)
    internals(broker).unregisterClient(client)
    expect(internals(broker).clients['__proto__']).toBeUndefined()
    expect(broker.connectedClients).toBe(0)
    expect(log).toEqual([
      'client',
      '$SYS/node/new/clients __proto__',
      'clientDisconnect',
      '$SYS/node/disconnect/clients __proto__',
    ])
    expect([...used]).toEqual(['id'])
  })

  it('closes the registered client first when an id is registered again: the caller has to see to it that none is', async () => {
    const parts = recorded()
    const broker = await started(parts)
    const close = vi.fn()
    internals(broker).registerClient({ id: 'c', close })
    internals(broker).registerClient({ id: 'c', close: (done: () => void) => done() })
    expect(close).toHaveBeenCalledOnce()
    expect(internals(broker).clients['c']).toHaveProperty('close', close)
    close.mock.calls.forEach(([done]) => (done as () => void)())
    expect(internals(broker).clients['c']).not.toHaveProperty('close', close)
  })

  it('reads `duplicates`, `closed` and `close` of clients when other nodes announce themselves', async () => {
    const parts = recorded()
    const broker = await started(parts)
    const close = vi.fn()
    internals(broker).registerClient({ id: 'c', close, closed: false, duplicates: Object.freeze({}) })
    function announce(name: string, payload: string): void {
      const topic = `$SYS/other/${name}`
      const handler = parts.handlers.find((each) => each.filter === `$SYS/+/${name}`)?.handler
      handler?.({ cmd: 'publish', topic, payload: Buffer.from(payload), qos: 0, retain: false }, () => {})
    }
    announce('birth', 'other')
    announce('heartbeat', 'other')
    expect(broker.brokers).toHaveProperty('other')
    announce('new/clients', 'c')
    expect(close).toHaveBeenCalledOnce()
    close.mockImplementation((done: () => void) => done())
  })

  it('starts with a persistence whose `setup` is an async function, and with no other', async () => {
    const parts = recorded()
    parts.persistence.setup = () => Promise.resolve()
    await expect(Aedes.createBroker({ persistence: parts.persistence, mq: parts.mq })).rejects.toThrow(
      /async/,
    )
  })

  it('closes every client, then mq, and leaves no timer', async () => {
    vi.useFakeTimers()
    const parts = recorded()
    const broker = await started(parts)
    const close = vi.fn((done: () => void) => done())
    internals(broker).registerClient({ id: 'c', close })
    expect(vi.getTimerCount()).toBe(2)
    expect(broker.closed).toBe(false)
    await new Promise<void>((resolve) => {
      broker.close(resolve)
    })
    expect(close).toHaveBeenCalledOnce()
    expect(parts.steps.at(-1)).toBe('mq.close')
    expect(broker.closed).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('has its hooks as members that can be compared with the defaults and replaced', () => {
    const broker = new Aedes()
    const { authenticate } = new Aedes()
    expect(broker.authenticate).toBe(authenticate)
    expect(broker).toBeInstanceOf(EventEmitter)
    expect(typeof broker.published).toBe('function')
  })
})
