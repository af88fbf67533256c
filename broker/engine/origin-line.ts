import type { GatewayError } from '../contract/errors.js'
import type { Message } from '../contract/message.js'

/** How many QoS 0 messages may wait behind others of their origin. */
export interface LineLimits {
  readonly messages: number
  readonly payloadBytes: number
}

/** What the line keeps on a message that is under way; a class of its own would be one more object a message. */
export interface LineEntry {
  readonly message: Message
  readonly done: ((error: GatewayError | undefined, matched: number) => void) | undefined
  readonly error: GatewayError | undefined
  readonly matched: number
  /** The one behind it. */
  next: LineEntry | undefined
  /** Set while the message is ready to be emitted and another one of its origin comes first. */
  waitingEmission: (() => void) | undefined
  /** Emitted, or known never to be: the next one may be emitted. */
  passed: boolean
  /** Went through the pipeline, with `error` as its outcome. */
  finished: boolean
  /** QoS 0 and waiting behind others: counts towards the bound. */
  bounded: boolean
}

/**
 * The messages of one origin that are under way, in the order of the calls. Storing may begin at once (a store
 * calls back in the order of the calls); emission and report wait for their turn, so that a QoS 0 message does
 * not overtake a QoS 1 message that is being stored [MQTT-4.6.0]. With nothing under way a message passes in
 * one synchronous call.
 *
 * Bound: QoS 1 and 2 messages are bounded by the origin (a client's receive maximum, a bridge's credits); QoS 0
 * messages that have to wait are bounded here, since nothing else stops their sender.
 */
export class OriginLine {
  private head: LineEntry | undefined = undefined
  private tail: LineEntry | undefined = undefined
  /** The next one to be emitted. */
  private turn: LineEntry | undefined = undefined
  private emitting = false
  private reporting = false
  private waiting = 0
  private waitingBytes = 0

  constructor(private readonly limits: LineLimits) {}

  get idle(): boolean {
    return this.head === undefined && this.turn === undefined
  }

  /** Adds the publication; false: it is QoS 0 and as many wait as may. */
  enter(publication: LineEntry): boolean {
    // The last one may be reported and still be in the middle of its emission.
    const last = this.tail ?? this.turn
    if (last !== undefined) {
      if (publication.message.qos === 0 && !this.admit(publication)) return false
      last.next = publication
    }
    this.head ??= publication
    this.tail = publication
    this.turn ??= publication
    return true
  }

  /** Whether the publication is the next one to be emitted. */
  mayEmit(publication: LineEntry): boolean {
    return this.turn === publication
  }

  /** The publication was emitted or never will be: those behind it that are ready are emitted. */
  pass(publication: LineEntry): void {
    publication.passed = true
    // Called from within an emission below: the loop there goes on. No recursion, however long the line.
    if (this.emitting) return
    this.emitting = true
    while (this.turn !== undefined) {
      if (this.turn.passed) {
        this.turn = this.turn.next
      } else if (this.turn.waitingEmission !== undefined) {
        const emit = this.turn.waitingEmission
        this.turn.waitingEmission = undefined
        emit()
      } else break
    }
    this.emitting = false
  }

  /** The publication is through the pipeline: reports it, and those behind it that are too, in order. */
  finish(publication: LineEntry): void {
    publication.finished = true
    if (this.reporting) return
    this.reporting = true
    while (this.head?.finished === true) {
      const first = this.head
      this.head = first.next
      if (this.head === undefined) this.tail = undefined
      if (first.bounded) {
        this.waiting--
        this.waitingBytes -= first.message.payload.length
      }
      first.done?.(first.error, first.matched)
    }
    this.reporting = false
  }

  private admit(publication: LineEntry): boolean {
    const bytes = publication.message.payload.length
    if (this.waiting >= this.limits.messages) return false
    if (this.waiting > 0 && this.waitingBytes + bytes > this.limits.payloadBytes) return false
    publication.bounded = true
    this.waiting++
    this.waitingBytes += bytes
    return true
  }
}
