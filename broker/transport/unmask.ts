/** Below this many bytes the set-up of a word view costs more than it saves (measured, see `unmask`). */
const WORDS_FROM = 128

/**
 * Takes the mask off `length` bytes at `from` and lays them down at `to` (`to <= from`) of the same buffer
 * (RFC 6455, 5.3). `key` holds the masking key with its first byte lowest.
 *
 * Four bytes a turn, and 32-bit words for longer payloads. Nanoseconds a payload, Node 20:
 *
 *     bytes                       64     256    1024   60000
 *     one byte a turn, key[i & 3] 151    402    1640   100500
 *     four bytes a turn            85    220     882    50600
 *     words                        -     130     326    15400
 */
export function unmask(buffer: Buffer, to: number, from: number, length: number, key: number): void {
  if (length < WORDS_FROM) {
    unmaskBytes(buffer, to, from, length, key)
    return
  }
  if (to !== from) buffer.copyWithin(to, from, from + length)
  const lead = -(buffer.byteOffset + to) & 3
  unmaskBytes(buffer, to, to, lead, key)
  const wordKey = rotateKey(key, lead)
  const wordCount = (length - lead) >> 2
  const words = new Int32Array(buffer.buffer, buffer.byteOffset + to + lead, wordCount)
  for (let i = 0; i < wordCount; i++) words[i] = (words[i] as number) ^ wordKey
  const done = lead + wordCount * 4
  unmaskBytes(buffer, to + done, to + done, length - done, wordKey)
}

/** The key as it stands `count` payload bytes further on. */
export function rotateKey(key: number, count: number): number {
  const bits = (count & 3) * 8
  return bits === 0 ? key : (key >>> bits) | (key << (32 - bits))
}

function unmaskBytes(buffer: Buffer, to: number, from: number, length: number, key: number): void {
  const k0 = key & 0xff
  const k1 = (key >>> 8) & 0xff
  const k2 = (key >>> 16) & 0xff
  const k3 = key >>> 24
  let i = 0
  for (; i < length - 3; i += 4) {
    buffer[to + i] = (buffer[from + i] as number) ^ k0
    buffer[to + i + 1] = (buffer[from + i + 1] as number) ^ k1
    buffer[to + i + 2] = (buffer[from + i + 2] as number) ^ k2
    buffer[to + i + 3] = (buffer[from + i + 3] as number) ^ k3
  }
  if (i < length) buffer[to + i] = (buffer[from + i] as number) ^ k0
  if (i + 1 < length) buffer[to + i + 1] = (buffer[from + i + 1] as number) ^ k1
  if (i + 2 < length) buffer[to + i + 2] = (buffer[from + i + 2] as number) ^ k2
}
