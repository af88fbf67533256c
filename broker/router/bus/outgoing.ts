import type { NodeQuestion, QueuedPlace } from '../../contract/cluster.js'
import type { Message } from '../../contract/message.js'
import {
  beginMessage,
  endMessage,
  toAll,
  toQueued,
  toShared,
  writeAnswer,
  writeHead,
  writeInterest,
  writeQuestion,
  type InterestChange,
} from './entry.js'
import { EntryWriter } from './entry-bytes.js'
import type { MessageBodies } from './message-body.js'
import type { StreamWriter } from './stream-writer.js'
import type { Round, WrittenLine } from './written-line.js'

export interface BacklogLimits {
  /**
   * What may wait for a node, bytes, with what an entry takes in memory: so it bounds their number as well. QoS 0 has
   * half of it, what is no message twice as much.
   */
  readonly bytes: number
}

export interface OutgoingParts {
  readonly self: string
  /** The number that the first entry follows. */
  readonly after: number
  readonly bodies: MessageBodies
  readonly line: WrittenLine
  readonly limits: BacklogLimits
  /** Something waits for `flush`. */
  readonly onDirty: (outgoing: Outgoing) => void
}

/** Size at which an entry is closed and the next one begun, bytes: small enough for Redis and the reader's turn. */
const FULL_ENTRY = 65_536

/**
 * What is for one node: packed into an entry until the turn ends or the entry is full. A message is written once,
 * with all that it is for on that node behind its body.
 *
 * Entries have consecutive numbers. What is refused for lack of room, and is no publisher's loss, leaves a number
 * out: so the receiver learns that it has missed something, and looks where that is stored.
 */
export class Outgoing {
  private readonly writer = new EntryWriter()
  private round: Round | undefined = undefined
  private number: number
  private items = 0
  private messages = 0
  /** The message that was written last, as long as addressees may follow. */
  private message: Message | undefined = undefined
  private isForAll = false

  constructor(
    private readonly stream: StreamWriter,
    private readonly parts: OutgoingParts,
  ) {
    // What was for it meanwhile has not been sent: one number is left out, so that it looks for what it has missed.
    this.number = parts.after === 0 ? 0 : parts.after + 1
  }

  /** The number that was given last. */
  get lastNumber(): number {
    return this.number
  }

  /** Whether there was room. */
  forward(message: Message): boolean {
    if (this.message === message && this.isForAll) return true
    if (!this.begin(message)) return false
    this.isForAll = true
    toAll(this.writer)
    return true
  }

  forwardShared(message: Message, sharedFilter: string): boolean {
    if (!this.begin(message)) return false
    toShared(this.writer, sharedFilter)
    return true
  }

  /** A copy that finds no room is not lost: it is in the queue of its receiver, who is told to look. */
  forwardQueued(message: Message, place: QueuedPlace): boolean {
    if (!this.begin(message)) {
      if (place.delivery.qos > 0) this.leaveOut()
      return false
    }
    toQueued(this.writer, place)
    return true
  }

  interest(change: InterestChange): void {
    // What is not told is read from Redis by whoever finds a number missing.
    if (!this.hasRoom(2)) this.leaveOut()
    else writeInterest(this.item(), change)
  }

  /** Whether there was room. */
  question(id: number, question: NodeQuestion): boolean {
    if (!this.hasRoom(2)) return false
    writeQuestion(this.item(), id, question)
    return true
  }

  answer(id: number): void {
    // Whoever asked goes on without.
    if (this.hasRoom(2)) writeAnswer(this.item(), id)
  }

  /** The turn is over: hands over what there is. */
  flush(): void {
    this.seal()
  }

  /** Sends nothing any more. Returns the number of messages that are lost. */
  close(): number {
    const lost = this.messages
    if (this.round !== undefined) this.parts.line.end(this.round)
    this.round = undefined
    return lost + this.stream.close()
  }

  /** Makes room for addressees behind the body of the message. */
  private begin(message: Message): boolean {
    if (this.message === message) return true
    if (!this.hasRoom(message.qos === 0 ? 0.5 : 1)) return false
    const body = this.parts.bodies.of(message)
    beginMessage(this.item(), body)
    this.message = message
    this.isForAll = false
    this.messages++
    return true
  }

  /** Whatever waits, one item beyond the limit is taken: so one of any size gets through. */
  private hasRoom(share: number): boolean {
    const building = this.round === undefined ? 0 : this.writer.length
    return this.stream.backlog + building < this.parts.limits.bytes * share
  }

  private item(): EntryWriter {
    this.endMessage()
    if (this.round !== undefined && this.writer.length >= FULL_ENTRY) this.seal()
    this.start()
    this.items++
    return this.writer
  }

  private start(): void {
    if (this.round !== undefined) return
    this.round = this.parts.line.begin()
    writeHead(this.writer, this.parts.self, ++this.number)
    this.parts.onDirty(this)
  }

  private leaveOut(): void {
    // An entry without items that follows a gap says all there is to say.
    if (this.round !== undefined && this.items === 0) return
    this.seal()
    this.number++
    this.start()
  }

  private endMessage(): void {
    if (this.message === undefined) return
    this.message = undefined
    endMessage(this.writer)
  }

  private seal(): void {
    const { round, items, messages } = this
    if (round === undefined) return
    this.endMessage()
    this.round = undefined
    this.items = 0
    this.messages = 0
    this.stream.add({ bytes: this.writer.finish(), items, messages, round })
  }
}
