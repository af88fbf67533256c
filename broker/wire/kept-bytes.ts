const EMPTY = Buffer.alloc(0)
/** Room for most packets that are cut at the end of a read. */
const SMALLEST = 256

/**
 * Bytes that were received and could not be decoded yet: the beginning of a packet, or all that came during a
 * pause. Room doubles as it runs out, so that a packet that comes byte by byte is copied a bounded number of
 * times; it grows with the bytes that came and never with the length that a header claims.
 *
 * Bytes once appended are never moved or overwritten in place, because payloads are handed out as views of them.
 */
export class KeptBytes {
  bytes: Buffer = EMPTY
  start = 0
  end = 0

  get length(): number {
    return this.end - this.start
  }

  append(source: Buffer, from: number, to: number): void {
    const count = to - from
    if (this.end + count > this.bytes.length) this.makeRoom(count)
    source.copy(this.bytes, this.end, from, to)
    this.end += count
  }

  /** Forgets the first `count` bytes. */
  consume(count: number): void {
    this.start += count
    if (this.start === this.end) this.clear()
  }

  clear(): void {
    this.bytes = EMPTY
    this.start = 0
    this.end = 0
  }

  private makeRoom(count: number): void {
    const kept = this.length
    const room = Math.max(SMALLEST, kept + count, kept * 2)
    // Not from the shared pool: a connection that stalls within a packet would pin 8 KiB of it.
    const grown = Buffer.allocUnsafeSlow(room)
    this.bytes.copy(grown, 0, this.start, this.end)
    this.bytes = grown
    this.start = 0
    this.end = kept
  }
}
