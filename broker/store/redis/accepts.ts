import type { Clock } from '../../contract/clock.js'
import type { GatewayError } from '../../contract/errors.js'
import type { Message } from '../../contract/message.js'
import type { Accept, AcceptDone } from '../../contract/store.js'
import type { Delivery } from '../../contract/subscription.js'
import { ValueWriter } from '../bytes.js'
import { retainedFull, sessionTaken } from '../failures.js'
import { encodeDelivery, encodeMessage } from '../values.js'
import {
  operations,
  queuedMessage,
  type Incoming,
  type QueuedMessage,
  type RetainedChange,
} from './operations.js'
import { errorIn } from './partition.js'
import { RedisHandle } from './redis-handle.js'
import type { RetainedInfo, RetainedTopics } from './retained-topics.js'
import { acceptSpanning, NOTHING_QUEUED, queuedOf, type AcceptPlan, type Queued } from './spanning-accept.js'
import type { WriteLine } from './write-line.js'

type Finish = (error: GatewayError | undefined, failed: string | undefined, queued: Queued) => void

/** Taking messages: what is kept of them is encoded when they are handed over, once for all receivers. */
export class Accepts {
  private readonly writer = new ValueWriter()
  private readonly plainDeliveries: (Buffer | undefined)[] = []
  private lastUid = 0

  constructor(
    private readonly writes: WriteLine,
    private readonly topics: RetainedTopics,
    private readonly instance: string,
    private readonly clock: Clock,
  ) {}

  accept(accept: Accept, done: AcceptDone): void {
    const { writes, topics } = this
    const { message, retain, incoming } = accept
    const info = retainedInfo(message)
    const refused = writes.refusal(false) ?? this.refusedOrigin(accept)
    if (refused !== undefined) {
      writes.enter().settle(() => done(refused, NO_SEQUENCES))
      return
    }
    if (retain && !this.stage(message.topic, info)) {
      this.refuseRetained(accept, done)
      return
    }
    const plan = this.plan(accept)
    const release = writes.take(1 + plan.recipients.length / 2, plan.message[1].length)
    const ticket = writes.enter()
    this.dispatch(plan, (error, failed, { sequences, owners }) => {
      release()
      const failure = error ?? writes.failureOf(failed, originOf(accept) ?? message.topic)
      if (retain) topics.unstage(message.topic, info, failure === undefined)
      ticket.settle(() => {
        if (failure === undefined && incoming?.session instanceof RedisHandle)
          incoming.session.incoming.add(incoming.packetId)
        if (failure === undefined) done(undefined, sequences, owners)
        else done(failure, NO_SEQUENCES)
      })
    })
  }

  /** There is no room for a retained message; but a publisher that has been replaced is to hear that first. */
  private refuseRetained(accept: Accept, done: AcceptDone): void {
    const origin = originOf(accept)
    const refuse = (error: GatewayError | undefined): void => done(error ?? retainedFull(), NO_SEQUENCES)
    if (origin === undefined) this.writes.enter().settle(() => refuse(undefined))
    else {
      const packed = operations.origin(incomingOf(accept), accept.will ?? false)
      this.writes.add(origin, { packed, clients: [origin], frees: false }, refuse)
    }
  }

  /** A message for one session alone. */
  packEnqueue({ clientId, epoch }: RedisHandle, message: Message, delivery: Delivery): Buffer {
    const queued = this.queued(encodeMessage(this.writer, message), message)
    return operations.enqueue(clientId, epoch, queued, this.packDelivery(delivery))
  }

  /** Forgets a retained message that has expired, here at once. What Redis does not let go is found again. */
  clearExpired(topic: string): void {
    if (this.writes.refusal(true) !== undefined) return
    this.topics.stage(topic, undefined)
    const unstage = (): void => this.topics.unstage(topic, undefined, false)
    this.writes.add(topic, { packed: operations.unretain(topic), clients: [], frees: true }, unstage)
  }

  /** Whether the handle is of this store as it is open now; whether it still owns its session is checked in Redis. */
  private refusedOrigin({ incoming }: Accept): GatewayError | undefined {
    if (incoming === undefined) return undefined
    const { session } = incoming
    const isOurs = session instanceof RedisHandle && session.instance === this.instance
    return isOurs ? undefined : sessionTaken(session.clientId)
  }

  private stage(topic: string, info: RetainedInfo | undefined): boolean {
    if (this.topics.stage(topic, info)) return true
    for (const expired of this.topics.expired(this.clock.now())) this.clearExpired(expired)
    return this.topics.stage(topic, info)
  }

  private plan(accept: Accept): AcceptPlan {
    const { message, recipients, retain, will } = accept
    const kept = recipients.length > 0 || (retain && message.payload.length > 0)
    const bytes = kept ? encodeMessage(this.writer, message) : NOTHING
    const change: RetainedChange | false = retain && [
      message.topic,
      message.payload.length > 0 && bytes,
      message.payload.length,
      message.expiresAt ?? false,
    ]
    return {
      message: this.queued(bytes, message),
      recipients: recipients.flatMap(({ clientId, delivery }) => [clientId, this.packDelivery(delivery)]),
      change,
      incoming: incomingOf(accept),
      will: will ?? false,
    }
  }

  private dispatch(plan: AcceptPlan, finish: Finish): void {
    const { writes } = this
    const { message, recipients, change, incoming, will } = plan
    const involved = new Set<number>()
    const clients: string[] = []
    for (let i = 0; i < recipients.length; i += 2) clients.push(String(recipients[i]))
    for (const id of clients) involved.add(writes.partitionOf(id))
    if (change !== false) involved.add(writes.partitionOf(change[0]))
    if (incoming !== false) involved.add(writes.partitionOf(incoming[0]))
    if (will !== false) involved.add(writes.partitionOf(will))
    const [first] = involved
    if (first === undefined) finish(undefined, undefined, NOTHING_QUEUED)
    else if (involved.size > 1) acceptSpanning(writes, plan, finish)
    else
      writes.partition(first).add({
        packed: operations.accept(message, recipients, change, incoming, will),
        clients,
        ready: true,
        done: (error, result) => finish(error, errorIn(result), queuedOf(result)),
      })
  }

  /** Nearly all deliveries are one of six; those are encoded once. */
  private packDelivery(delivery: Delivery): Buffer {
    const { qos, retain, identifiers, sharedFilter } = delivery
    if (identifiers.length > 0 || sharedFilter !== undefined) return encodeDelivery(this.writer, delivery)
    return (this.plainDeliveries[qos * 2 + Number(retain)] ??= encodeDelivery(this.writer, delivery))
  }

  private queued(bytes: Buffer, message: Message): QueuedMessage {
    const uid = `${this.instance}.${(++this.lastUid).toString(36)}`
    return queuedMessage(uid, bytes, message, this.clock.now())
  }
}

const NO_SEQUENCES: readonly undefined[] = []
const NOTHING = Buffer.alloc(0)

/** Undefined: the topic is cleared. */
function retainedInfo({ payload, expiresAt }: Message): RetainedInfo | undefined {
  return payload.length === 0 ? undefined : { size: payload.length, expiresAt }
}

/** The client that the message comes from, where that has to be in these hands still. */
function originOf({ incoming, will }: Accept): string | undefined {
  return incoming?.session.clientId ?? will
}

function incomingOf({ incoming }: Accept): Incoming | false {
  if (incoming === undefined) return false
  const { session, packetId } = incoming
  return [session.clientId, session instanceof RedisHandle ? session.epoch : 0, packetId]
}
