import { afterEach, describe, expect, it } from 'vitest'
import { type Bench, FakeConnection, message, startEngine, subscription } from './fakes.js'

let bench: Bench | undefined
afterEach(async () => {
  await bench?.stop()
  bench = undefined
})

async function started() {
  bench = await startEngine()
  const { engine, broker, reported } = bench
  return { hooks: engine.hooks, broker, reported, client: engine.client(new FakeConnection('c')) }
}

const connect = { clientId: 'c', clean: true, keepAlive: 5, username: 'u', version: 4 as const }

describe('hooks', () => {
  it('are none while the program has set none', async () => {
    const { hooks } = await started()
    expect([
      hooks.preConnect,
      hooks.authenticate,
      hooks.authorizePublish,
      hooks.authorizeSubscribe,
      hooks.authorizeForward,
    ]).toEqual([undefined, undefined, undefined, undefined, undefined])
  })

  it('are made once for each function that is set', async () => {
    const { hooks, broker } = await started()
    broker.authorizePublish = (_client, _packet, callback) => callback(null)
    const made = hooks.authorizePublish
    expect(hooks.authorizePublish).toBe(made)
    broker.authorizePublish = (_client, _packet, callback) => callback(new Error('no'))
    expect(hooks.authorizePublish).not.toBe(made)
  })

  it('preConnect: let in, turned away, an error goes to connectionError', async () => {
    const { hooks, broker, client } = await started()
    const errors: string[] = []
    broker.on('connectionError', (_client, error) => errors.push(error.message))
    broker.preConnect = (_client, packet, callback) => callback(null, packet.keepalive === 5)
    await expect(hooks.preConnect?.(client, connect)).resolves.toBe(true)
    await expect(hooks.preConnect?.(client, { ...connect, keepAlive: 6 })).resolves.toBe(false)
    broker.preConnect = (_client, _packet, callback) => callback(new Error('full'), true)
    await expect(hooks.preConnect?.(client, connect)).resolves.toBe(false)
    expect(errors).toEqual(['full'])
  })

  it('authenticate: return codes 2 to 5 are kept, anything else is 5', async () => {
    const { hooks, broker, client } = await started()
    broker.authenticate = (_client, username, password, callback) => {
      if (username === 'error') {
        const error = Object.assign(new Error('no'), { returnCode: Number(String(password)) })
        callback(error, null)
      } else callback(null, username === 'good')
    }
    const ask = (name: string, password = ''): unknown =>
      hooks.authenticate?.(client, name, Buffer.from(password))
    await expect(ask('good')).resolves.toEqual({ granted: true })
    await expect(ask('bad')).resolves.toEqual({ granted: false, returnCode: 5 })
    await expect(ask('error', '4')).resolves.toEqual({ granted: false, returnCode: 4 })
    await expect(ask('error', '7')).resolves.toEqual({ granted: false, returnCode: 5 })
  })

  it('authorizePublish: may overwrite the payload, as documented', async () => {
    const { hooks, broker, client } = await started()
    broker.authorizePublish = (_client, packet, callback) => {
      packet.payload = 'changed'
      callback(packet.topic === 'no' ? new Error('no') : null)
    }
    const of = message('t', 'x')
    await expect(hooks.authorizePublish?.(client, of)).resolves.toBe(true)
    expect(of.payload.toString()).toBe('changed')
    await expect(hooks.authorizePublish?.(client, message('no', 'x'))).resolves.toBe(false)
  })

  it('authorizeSubscribe: as asked, changed, refused by null, 128, error, or a filter that is none', async () => {
    const { hooks, broker, client } = await started()
    broker.authorizeSubscribe = (_client, sub, callback) => {
      if (sub.topic === 'null') callback(null, null)
      else if (sub.topic === 'error') callback(new Error('no'))
      else if (sub.topic === '128') callback(null, { ...sub, qos: 128 as never })
      else if (sub.topic === 'invalid') callback(null, { ...sub, topic: 'a#' })
      else if (sub.topic === 'changed') callback(null, { topic: '$share/g/foo', qos: 1 })
      else callback(null, sub)
    }
    const asked = { ...subscription('same', 2), identifier: 4 }
    await expect(hooks.authorizeSubscribe?.(client, asked)).resolves.toBe(asked)
    await expect(hooks.authorizeSubscribe?.(client, { ...asked, filter: 'changed' })).resolves.toEqual({
      ...asked,
      filter: 'foo',
      share: 'g',
      qos: 1,
    })
    for (const filter of ['null', 'error', '128', 'invalid'])
      await expect(hooks.authorizeSubscribe?.(client, subscription(filter))).resolves.toBeUndefined()
  })

  it('authorizeForward: the same message, a changed one of its own, or none', async () => {
    const { hooks, broker, client } = await started()
    broker.authorizeForward = (_client, packet) => {
      if (packet.topic === 'none') return null
      if (packet.topic === 'changed') packet.payload = Buffer.from('other')
      return packet
    }
    const same = message('t', 'x')
    expect(hooks.authorizeForward?.(client, same)).toBe(same)
    const changed = message('changed', 'x', { retain: true, publisherId: 'p' })
    const forwarded = hooks.authorizeForward?.(client, changed)
    expect(forwarded).toMatchObject({ topic: 'changed', retain: true, publisherId: 'p' })
    expect([forwarded?.payload.toString(), changed.payload.toString()]).toEqual(['other', 'x'])
    expect(hooks.authorizeForward?.(client, message('none', 'x'))).toBeUndefined()
  })

  it('refuse and are reported when they throw', async () => {
    const { hooks, broker, client, reported } = await started()
    const fail = (): never => {
      throw new Error('oops')
    }
    Object.assign(broker, {
      preConnect: fail,
      authenticate: fail,
      authorizePublish: fail,
      authorizeSubscribe: fail,
      authorizeForward: fail,
    })
    await expect(hooks.preConnect?.(client, connect)).resolves.toBe(false)
    await expect(hooks.authenticate?.(client, 'u', undefined)).resolves.toMatchObject({ granted: false })
    await expect(hooks.authorizePublish?.(client, message('t', 'x'))).resolves.toBe(false)
    await expect(hooks.authorizeSubscribe?.(client, subscription('t'))).resolves.toBeUndefined()
    expect(hooks.authorizeForward?.(client, message('t', 'x'))).toBeUndefined()
    expect(reported.list.map((each) => each.split(':')[0])).toEqual([
      'hook preConnect',
      'hook authenticate',
      'hook authorizePublish',
      'hook authorizeSubscribe',
      'hook authorizeForward',
    ])
  })
})
