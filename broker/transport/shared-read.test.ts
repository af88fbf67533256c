import { once } from 'node:events'
import { afterEach, expect, it } from 'vitest'
import { readShared } from './shared-read.js'
import { closeAll, socketPair } from './testing.js'

afterEach(closeAll)

it('finds the fields of this version of Node: without them every read allocates 64 KiB', async () => {
  const { accepted } = await socketPair()
  expect(readShared(accepted, () => {})).toBe(true)
})

it('reads into the same memory every time, and goes on through pause, resume and end', async () => {
  const { client, accepted } = await socketPair()
  const memory = new Set<ArrayBufferLike>()
  let text = ''
  let wake = (): void => {}
  readShared(accepted, (bytes, size) => {
    memory.add(bytes.buffer)
    text += bytes.toString('utf8', 0, size)
    wake()
  })
  accepted.on('data', () => expect.unreachable('the stream must not see the bytes too'))
  const until = async (wanted: string): Promise<void> => {
    while (text !== wanted) await new Promise<void>((resolve) => (wake = resolve))
  }
  client.write('one')
  await until('one')
  accepted.pause()
  client.write(' two')
  accepted.resume()
  await until('one two')
  const ended = once(accepted, 'end')
  client.end(' three')
  await until('one two three')
  await ended
  expect(memory.size).toBe(1)
})

it('holds a sender back while it is paused', async () => {
  const { client, accepted } = await socketPair()
  let received = 0
  readShared(accepted, (_bytes, size) => {
    received += size
  })
  accepted.on('data', () => {})
  accepted.pause()
  while (client.write(Buffer.alloc(1 << 20))) await new Promise((resolve) => setImmediate(resolve))
  expect(client.writableLength).toBeGreaterThan(0)
  expect(received).toBe(0)
})
