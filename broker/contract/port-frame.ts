/**
 * The bytes that travel through a port: one frame is what one tick produced for the other end.
 *
 * A frame begins with its length, since the buffer around it may be larger (it is transferred whole, which costs
 * nothing, while cutting it to size would copy it). Then come entries: a kind, then fields of fixed width in
 * little-endian order, then texts and bytes. Both ends are of one build and trust each other; a frame that does not
 * read is a defect and throws.
 */

/** Entries from the broker to the pipelines. */
export interface ToPipelines {
  /** The subscription is in place. */
  subscribed(channel: number, maxUnsettled: number): void
  /** Everything that the subscription had brought before it ended has been sent. */
  unsubscribed(channel: number): void
  /** `token` 0: QoS 0. `payload` is a view of the frame. */
  message(channel: number, token: number, receivedAt: number, topic: string, payload: Uint8Array): void
  /** Answer to `recall`; `found` false: there is no retained message. */
  recalled(id: number, found: boolean, payload: Uint8Array): void
  /** What became of a publish; `detail` is empty unless something went wrong. */
  published(id: number, outcome: PublishOutcome, detail: string): void
}

/** Entries from the pipelines to the broker. A channel is one subscription, numbered by the pipelines' end. */
export interface ToBroker {
  /** `name` outlives the frame's sender: a subscription of that name that was left behind is taken up again. */
  subscribe(channel: number, name: string, filter: string, qos: 0 | 1): void
  /** So many more messages and bytes may be sent. */
  grant(channel: number, messages: number, bytes: number): void
  /** Everything up to this token is done with. */
  settle(channel: number, token: number): void
  /**
   * Nothing more is wanted. What has come before this is still sent, as credit allows, then `unsubscribed`; it can
   * still be settled.
   */
  unsubscribe(channel: number): void
  /** The channel is done with, and its subscription forgotten. */
  release(channel: number): void
  /** Asks for the retained message of a topic. */
  recall(id: number, topic: string): void
  /** `id` comes back in the report. `payload` is a view of the frame. */
  publish(id: number, name: string, qos: 0 | 1, retain: boolean, topic: string, payload: Uint8Array): void
}

export const PublishOutcome = { accepted: 0, tryAgain: 1, refused: 2 } as const
export type PublishOutcome = (typeof PublishOutcome)[keyof typeof PublishOutcome]

const Kind = {
  subscribed: 1,
  message: 2,
  published: 3,
  unsubscribed: 4,
  recalled: 5,
  subscribe: 16,
  grant: 17,
  settle: 18,
  unsubscribe: 19,
  release: 20,
  publish: 21,
  recall: 22,
} as const

const HEADER_BYTES = 4
const SMALLEST_FRAME = 1_024
/** A frame that outgrows this has more to say than a tick should; the next one starts small again. */
const LARGEST_FIRST_SIZE = 1_048_576

/** Collects entries until `take`. One of its methods for each entry, both directions. */
export class FrameWriter implements ToPipelines, ToBroker {
  private buffer: Buffer = EMPTY
  private length = 0
  /** What the last frame needed is what this one will need. */
  private firstSize = SMALLEST_FRAME

  get empty(): boolean {
    return this.length === 0
  }

  subscribed(channel: number, maxUnsettled: number): void {
    const at = this.entry(Kind.subscribed, 8)
    this.buffer.writeUInt32LE(channel, at)
    this.buffer.writeUInt32LE(maxUnsettled, at + 4)
  }

  unsubscribed(channel: number): void {
    const at = this.entry(Kind.unsubscribed, 4)
    this.buffer.writeUInt32LE(channel, at)
  }

  message(channel: number, token: number, receivedAt: number, topic: string, payload: Uint8Array): void {
    const at = this.entry(Kind.message, 20)
    this.buffer.writeUInt32LE(channel, at)
    this.buffer.writeDoubleLE(token, at + 4)
    this.buffer.writeDoubleLE(receivedAt, at + 12)
    this.text(topic)
    this.bytes(payload)
  }

  published(id: number, outcome: PublishOutcome, detail: string): void {
    const at = this.entry(Kind.published, 5)
    this.buffer.writeUInt32LE(id, at)
    this.buffer.writeUInt8(outcome, at + 4)
    this.text(detail)
  }

  recalled(id: number, found: boolean, payload: Uint8Array): void {
    const at = this.entry(Kind.recalled, 5)
    this.buffer.writeUInt32LE(id, at)
    this.buffer.writeUInt8(found ? 1 : 0, at + 4)
    this.bytes(payload)
  }

  recall(id: number, topic: string): void {
    const at = this.entry(Kind.recall, 4)
    this.buffer.writeUInt32LE(id, at)
    this.text(topic)
  }

  subscribe(channel: number, name: string, filter: string, qos: 0 | 1): void {
    const at = this.entry(Kind.subscribe, 5)
    this.buffer.writeUInt32LE(channel, at)
    this.buffer.writeUInt8(qos, at + 4)
    this.text(name)
    this.text(filter)
  }

  grant(channel: number, messages: number, bytes: number): void {
    const at = this.entry(Kind.grant, 12)
    this.buffer.writeUInt32LE(channel, at)
    this.buffer.writeUInt32LE(messages, at + 4)
    this.buffer.writeUInt32LE(bytes, at + 8)
  }

  settle(channel: number, token: number): void {
    const at = this.entry(Kind.settle, 12)
    this.buffer.writeUInt32LE(channel, at)
    this.buffer.writeDoubleLE(token, at + 4)
  }

  unsubscribe(channel: number): void {
    const at = this.entry(Kind.unsubscribe, 4)
    this.buffer.writeUInt32LE(channel, at)
  }

  release(channel: number): void {
    const at = this.entry(Kind.release, 4)
    this.buffer.writeUInt32LE(channel, at)
  }

  publish(id: number, name: string, qos: 0 | 1, retain: boolean, topic: string, payload: Uint8Array): void {
    const at = this.entry(Kind.publish, 5)
    this.buffer.writeUInt32LE(id, at)
    this.buffer.writeUInt8(qos | (retain ? RETAIN : 0), at + 4)
    this.text(name)
    this.text(topic)
    this.bytes(payload)
  }

  /** The frame so far, to be transferred; the writer begins a new one. */
  take(): ArrayBuffer {
    this.buffer.writeUInt32LE(this.length, 0)
    // `reserve` makes buffers that have their memory to themselves.
    const frame = this.buffer.buffer as ArrayBuffer
    this.firstSize = Math.min(Math.max(SMALLEST_FRAME, this.length), LARGEST_FIRST_SIZE)
    this.buffer = EMPTY
    this.length = 0
    return frame
  }

  /** Writes the kind, makes room for the fixed fields, and says where they begin. */
  private entry(kind: number, fixedBytes: number): number {
    this.reserve(1 + fixedBytes)
    this.buffer.writeUInt8(kind, this.length)
    const at = this.length + 1
    this.length = at + fixedBytes
    return at
  }

  private text(text: string): void {
    // A UTF-16 unit takes up to three bytes of UTF-8.
    this.reserve(4 + text.length * 3)
    const written = this.buffer.write(text, this.length + 4, 'utf8')
    this.buffer.writeUInt32LE(written, this.length)
    this.length += 4 + written
  }

  private bytes(bytes: Uint8Array): void {
    this.reserve(4 + bytes.length)
    this.buffer.writeUInt32LE(bytes.length, this.length)
    this.buffer.set(bytes, this.length + 4)
    this.length += 4 + bytes.length
  }

  private reserve(bytes: number): void {
    if (this.length === 0) this.length = HEADER_BYTES
    const needed = this.length + bytes
    if (needed <= this.buffer.length) return
    const grown = Buffer.from(new ArrayBuffer(Math.max(this.firstSize, needed, this.buffer.length * 2)))
    grown.set(this.buffer)
    this.buffer = grown
  }
}

/** Hands each entry of a frame from the broker to the handler, in order. */
export function readForPipelines(frame: ArrayBuffer, handler: ToPipelines): void {
  const reader = new FrameReader(frame)
  while (!reader.done) readToPipelines(reader, handler)
}

/** Hands each entry of a frame from the pipelines to the handler, in order. */
export function readForBroker(frame: ArrayBuffer, handler: ToBroker): void {
  const reader = new FrameReader(frame)
  while (!reader.done) readToBroker(reader, handler)
}

function readToPipelines(reader: FrameReader, handler: ToPipelines): void {
  const kind = reader.u8()
  switch (kind) {
    case Kind.message:
      handler.message(reader.u32(), reader.f64(), reader.f64(), reader.text(), reader.bytes())
      return
    case Kind.published:
      handler.published(reader.u32(), reader.u8() as PublishOutcome, reader.text())
      return
    case Kind.subscribed:
      handler.subscribed(reader.u32(), reader.u32())
      return
    case Kind.recalled:
      handler.recalled(reader.u32(), reader.u8() === 1, reader.bytes())
      return
    case Kind.unsubscribed:
      handler.unsubscribed(reader.u32())
      return
    default:
      throw new Error(`a port frame for pipelines has an entry of kind ${kind}`)
  }
}

function readToBroker(reader: FrameReader, handler: ToBroker): void {
  const kind = reader.u8()
  switch (kind) {
    case Kind.publish: {
      const id = reader.u32()
      const flags = reader.u8()
      const qos = (flags & 1) as 0 | 1
      handler.publish(id, reader.text(), qos, (flags & RETAIN) !== 0, reader.text(), reader.bytes())
      return
    }
    case Kind.settle:
      handler.settle(reader.u32(), reader.f64())
      return
    case Kind.grant:
      handler.grant(reader.u32(), reader.u32(), reader.u32())
      return
    case Kind.subscribe: {
      const channel = reader.u32()
      const qos = reader.u8() as 0 | 1
      handler.subscribe(channel, reader.text(), reader.text(), qos)
      return
    }
    case Kind.recall:
      handler.recall(reader.u32(), reader.text())
      return
    case Kind.unsubscribe:
      handler.unsubscribe(reader.u32())
      return
    case Kind.release:
      handler.release(reader.u32())
      return
    default:
      throw new Error(`a port frame for the broker has an entry of kind ${kind}`)
  }
}

class FrameReader {
  private readonly buffer: Buffer
  private at = HEADER_BYTES
  private readonly end: number

  constructor(frame: ArrayBuffer) {
    this.buffer = Buffer.from(frame)
    this.end = this.buffer.readUInt32LE(0)
  }

  get done(): boolean {
    return this.at >= this.end
  }

  u8(): number {
    return this.buffer.readUInt8(this.at++)
  }

  u32(): number {
    const value = this.buffer.readUInt32LE(this.at)
    this.at += 4
    return value
  }

  f64(): number {
    const value = this.buffer.readDoubleLE(this.at)
    this.at += 8
    return value
  }

  text(): string {
    const length = this.u32()
    const text = this.buffer.toString('utf8', this.at, this.at + length)
    this.at += length
    return text
  }

  bytes(): Uint8Array {
    const length = this.u32()
    const bytes = this.buffer.subarray(this.at, this.at + length)
    this.at += length
    return bytes
  }
}

const EMPTY = Buffer.alloc(0)
const RETAIN = 2
