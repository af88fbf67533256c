import { byteAt } from './byte-at.js'

/** Topics a connection remembers; a device rarely publishes to more in turn. A power of two. */
const SLOTS = 8
/** Longer topics are not remembered: bounds the memory of a connection to 2 KiB of text. */
const MAX_BYTES = 256

/**
 * The topic names that a connection has last published to, so that the next message to one of them takes the
 * string that is there: it spares the decoding and checking, and what is remembered by topic further on finds a
 * string whose hash is known. Only ASCII is kept, whose bytes can be compared with the string itself.
 */
export class TopicMemory {
  private readonly slots: string[] = new Array<string>(SLOTS).fill('')

  /** The remembered string for `bytes[start..end)`, which is not empty; undefined: not remembered. */
  recall(bytes: Buffer, start: number, end: number): string | undefined {
    const length = end - start
    const known = this.slots[slotOf(bytes, start, end)] as string
    if (known.length !== length) return undefined
    // From the end: topics of one device differ there.
    for (let i = length - 1; i >= 0; i--) {
      if (known.charCodeAt(i) !== byteAt(bytes, start + i)) return undefined
    }
    return known
  }

  /** Keeps the well-formed `topic` that `bytes[start..end)` were decoded to. */
  keep(topic: string, bytes: Buffer, start: number, end: number): void {
    // As many units as bytes: every character is ASCII.
    if (topic.length !== end - start || topic.length > MAX_BYTES) return
    this.slots[slotOf(bytes, start, end)] = topic
  }
}

function slotOf(bytes: Buffer, start: number, end: number): number {
  const middle = byteAt(bytes, (start + end) >> 1)
  return (end - start + byteAt(bytes, end - 1) * 3 + middle * 5) & (SLOTS - 1)
}
