import { once } from 'node:events'
import type { Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { writerOf } from './socket-writer.js'
import { closeAll, socketPair } from './testing.js'

afterEach(closeAll)

/** A socket of which Node does not show the handle, as with TLS. */
function withoutHandle(socket: Socket): Socket {
  return new Proxy(socket, {
    get(target, name) {
      if (name === '_handle') return undefined
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

it('writes past the stream in this version of Node: without it every write costs a microsecond more', async () => {
  const { accepted } = await socketPair()
  writerOf(accepted, () => {}).write(Buffer.from('x'))
  // What goes through the stream is counted there.
  expect(accepted.listenerCount('drain')).toBe(0)
})

describe.each([
  ['past the stream', (socket: Socket) => socket],
  ['through the stream', withoutHandle],
])('%s', (_way, shown) => {
  it('everything arrives once and in order, however slowly it is read', async () => {
    const { client, accepted } = await socketPair()
    let drained = 0
    let wake = (): void => {}
    const writer = writerOf(shown(accepted), () => {
      drained++
      wake()
    })
    client.pause()
    const pieces = Array.from({ length: 64 }, (_, i) => Buffer.alloc(262_144, i))
    let waited = 0
    const written = (async () => {
      for (const piece of pieces) {
        const taken = writer.writeBoth(piece.subarray(0, 3), piece.subarray(3))
        if (taken) continue
        waited++
        expect(writer.waiting).toBeGreaterThan(0)
        const next = new Promise<void>((resolve) => (wake = resolve))
        client.resume()
        await next
        expect(writer.waiting).toBe(0)
        client.pause()
      }
      expect(writer.write(Buffer.from('end'))).toBeTypeOf('boolean')
      client.resume()
      accepted.end()
    })()
    const received: Buffer[] = []
    client.on('data', (bytes: Buffer) => received.push(bytes))
    await written
    await once(client, 'end')
    expect(Buffer.concat(received).equals(Buffer.concat([...pieces, Buffer.from('end')]))).toBe(true)
    expect(waited).toBeGreaterThan(0)
    expect(drained).toBeGreaterThanOrEqual(waited)
  })

  it('a peer that has gone is told by the events of the socket, and writes go nowhere', async () => {
    const { client, accepted } = await socketPair()
    const writer = writerOf(shown(accepted), () => {})
    const failed = once(accepted, 'error')
    client.resetAndDestroy()
    // The reset may not be here yet: the operating system takes what is written until it is.
    while (!accepted.destroyed) {
      writer.write(Buffer.alloc(1_024))
      await new Promise(setImmediate)
    }
    expect(await failed).toHaveLength(1)
    expect(writer.write(Buffer.alloc(1))).toBeTypeOf('boolean')
    expect(writer.waiting).toBe(0)
  })

  it('what waits when the socket is closed is forgotten', async () => {
    const { client, accepted } = await socketPair()
    client.pause()
    let drained = 0
    const writer = writerOf(shown(accepted), () => drained++)
    while (writer.write(Buffer.alloc(1 << 20)));
    const closed = once(accepted, 'close')
    accepted.destroy()
    await closed
    expect(writer.waiting).toBe(0)
    expect(drained).toBe(0)
  })
})
