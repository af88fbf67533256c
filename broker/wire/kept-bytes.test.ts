import { expect, it } from 'vitest'
import { KeptBytes } from './kept-bytes.js'

it('takes 256 KiB byte by byte with few moves, and little more memory than came', () => {
  const kept = new KeptBytes()
  const memories = new Set<Buffer>()
  const byte = Buffer.from([7])
  for (let i = 0; i < 262_144; i++) {
    kept.append(byte, 0, 1)
    memories.add(kept.bytes)
  }
  expect(kept.length).toBe(262_144)
  expect(memories.size).toBeLessThan(13)
  expect(kept.bytes.length).toBeLessThanOrEqual(2 * 262_144)
})

it('never changes bytes that were appended before: payloads are views of them', () => {
  const kept = new KeptBytes()
  const views: Buffer[] = []
  for (let i = 0; i < 1000; i++) {
    kept.append(Buffer.from([i & 0xff, i >> 8]), 0, 2)
    views.push(kept.bytes.subarray(kept.end - 2, kept.end))
    if (i % 3 === 0) kept.consume(kept.length - (i % 2))
  }
  expect(views.map((view) => view.readUInt16LE())).toEqual(Array.from({ length: 1000 }, (_, i) => i))
})
