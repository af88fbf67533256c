import type { GatewayError } from '../../contract/errors.js'
import type { Message } from '../../contract/message.js'
import type { Accept, AcceptDone } from '../../contract/store.js'
import { retainedFull, sessionTaken } from '../failures.js'
import { ownUnpooled } from '../retained.js'
import type { LevelBatch } from './batch.js'
import type { LevelContents } from './contents.js'
import type { Write } from './journal.js'
import { incomingKey, retainedKey, willKey } from './keys.js'
import { LevelHandle } from './level-handle.js'
import { encodeInlineEntry, encodeMessage } from '../values.js'

const NO_SEQUENCES: readonly undefined[] = []
const NOTHING = Buffer.alloc(0)

/**
 * One accept. What it writes of the message is encoded when it is called, straight from the buffer that the
 * socket read into: the one copy that is made of a payload.
 */
export class AcceptWrite implements Write<LevelBatch> {
  readonly operations: number
  readonly bytes: number
  readonly early: boolean
  private readonly retained: RetainedChange | undefined
  /** The entry of the only recipient, or the body of several. */
  private readonly value: Buffer
  private sequences: readonly (number | undefined)[] = NO_SEQUENCES

  constructor(
    private readonly contents: LevelContents,
    private readonly accept: Accept,
    private readonly callback: AcceptDone,
  ) {
    const { message, recipients, retain, incoming, will } = accept
    const [first] = recipients
    this.retained = retain ? new RetainedChange(contents, message) : undefined
    if (first === undefined) this.value = NOTHING
    else if (recipients.length === 1) this.value = encodeInlineEntry(contents.writer, message, first.delivery)
    else this.value = encodeMessage(contents.writer, message)
    this.operations =
      recipients.length + Number(retain) + Number(incoming !== undefined) + Number(will !== undefined)
    this.bytes = this.value.length + (this.retained?.bytes ?? 0)
    this.early = this.operations === 0
  }

  stage(batch: LevelBatch): GatewayError | undefined {
    const { incoming, recipients, message, will } = this.accept
    const origin = incoming?.session
    const session = origin instanceof LevelHandle ? origin.session : undefined
    // Whatever may refuse comes before the first change: all or nothing.
    if (origin !== undefined && session?.gone !== false) return sessionTaken(origin.clientId)
    if (this.retained?.stage(batch) === false) return retainedFull()
    if (incoming !== undefined && session !== undefined)
      batch.put(incomingKey(session.number, incoming.packetId), NOTHING)
    if (will !== undefined) batch.del(willKey(will))
    if (recipients.length > 0) this.sequences = this.queue(batch, message)
    return undefined
  }

  done(error: GatewayError | undefined): void {
    const { incoming } = this.accept
    if (error !== undefined) {
      this.callback(error, NO_SEQUENCES)
      return
    }
    if (incoming?.session instanceof LevelHandle) incoming.session.incoming.add(incoming.packetId)
    this.callback(undefined, this.sequences)
  }

  private queue(batch: LevelBatch, message: Message): readonly (number | undefined)[] {
    const { contents, value } = this
    const { recipients } = this.accept
    const shared = recipients.length === 1 ? undefined : contents.shared(batch, message, value)
    const sequences: (number | undefined)[] = []
    for (const { clientId, delivery } of recipients) {
      const session = contents.sessions.get(clientId)
      if (session === undefined) sequences.push(undefined)
      else
        sequences.push(
          shared === undefined
            ? contents.queueInline(batch, session, message, value)
            : shared.queue(session, delivery),
        )
    }
    return sequences
  }
}

/** The retained message of a topic changes with the batch. */
class RetainedChange {
  private readonly message: Message | undefined
  private readonly value: Buffer | undefined
  private readonly topic: string
  private readonly order: number

  constructor(
    private readonly contents: LevelContents,
    message: Message,
  ) {
    this.topic = message.topic
    this.order = contents.retained.nextOrder()
    if (message.payload.length > 0) {
      this.message = ownUnpooled(message)
      this.value = encodeMessage(contents.writer, message)
    }
  }

  get bytes(): number {
    return this.value?.length ?? 0
  }

  /** False: no room. */
  stage(batch: LevelBatch): boolean {
    const { retained } = this.contents
    if (retained.overtaken(this.topic, this.order)) return true
    if (!retained.stage(this.topic, this.message)) {
      for (const topic of retained.expired()) {
        retained.stage(topic, undefined)
        batch.del(retainedKey(topic))
      }
      if (!retained.stage(this.topic, this.message)) return false
    }
    if (this.value === undefined) batch.del(retainedKey(this.topic))
    else batch.put(retainedKey(this.topic), this.value)
    return true
  }
}

/**
 * Brings the disk up to a retained message that is visible already (QoS 0, or one that has expired and is gone).
 * A topic that changes many times while a batch is written is written once.
 */
export class RetainedCatchUp implements Write<LevelBatch> {
  readonly operations = 1
  readonly early = true

  constructor(
    private readonly contents: LevelContents,
    private readonly topic: string,
    private readonly order: number,
    readonly bytes: number,
    private readonly callback: () => void,
  ) {}

  stage(batch: LevelBatch): undefined {
    const { retained, writer } = this.contents
    const ahead = retained.aheadOf(this.topic, this.order)
    if (ahead === undefined) return
    if (ahead.message === undefined) batch.del(retainedKey(this.topic))
    else batch.put(retainedKey(this.topic), encodeMessage(writer, ahead.message))
    batch.whenCommitted(() => retained.written(this.topic, this.order))
  }

  done(): void {
    this.callback()
  }
}
