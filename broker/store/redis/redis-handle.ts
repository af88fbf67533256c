import type { GatewayError } from '../../contract/errors.js'
import type { Message } from '../../contract/message.js'
import type { QueueEntry, ReadLimit, StoredSession, WriteDone } from '../../contract/store.js'
import type { Delivery, Subscription } from '../../contract/subscription.js'
import { subscriptionKey } from '../subscription-key.js'
import type { Unpacked } from './message-pack.js'
import { operations } from './operations.js'

export interface OpenedSession {
  /** The name of the store when it was opened: with another one the handle is void. */
  readonly instance: string
  readonly clientId: string
  readonly present: boolean
  readonly epoch: number
  /** The epoch in which the session was made: what tells it from a later one of the same client. */
  readonly born: number
  readonly takenFrom: string | undefined
  readonly subscriptions: readonly Subscription[]
  readonly incoming: readonly number[]
}

export type OperationDone = (error: GatewayError | undefined, result: Unpacked) => void

/** What a handle needs of its store. */
export interface HandleHost {
  write(handle: RedisHandle, packed: Buffer, frees: boolean, done: OperationDone): void
  packEnqueue(handle: RedisHandle, message: Message, delivery: Delivery): Buffer
  packSubscription(subscription: Subscription): Buffer
  read(handle: RedisHandle, afterSequence: number, limit: ReadLimit): Promise<readonly QueueEntry[]>
  closed(handle: RedisHandle): void
}

/** The session in the hands of one connection of this node. */
export class RedisHandle implements StoredSession {
  readonly instance: string
  readonly clientId: string
  readonly present: boolean
  readonly epoch: number
  readonly born: number
  readonly takenFrom: string | undefined
  readonly incoming: Set<number>
  queued = 0
  settledUpTo = 0
  queuedUpTo = 0
  private readonly subscriptionsByKey: Map<string, Subscription>

  constructor(
    private readonly host: HandleHost,
    opened: OpenedSession,
  ) {
    this.instance = opened.instance
    this.clientId = opened.clientId
    this.present = opened.present
    this.epoch = opened.epoch
    this.born = opened.born
    this.takenFrom = opened.takenFrom
    this.incoming = new Set(opened.incoming)
    this.subscriptionsByKey = new Map(opened.subscriptions.map((each) => [subscriptionKey(each), each]))
  }

  get subscriptions(): readonly Subscription[] {
    return [...this.subscriptionsByKey.values()]
  }

  async subscribe(subscriptions: readonly Subscription[]): Promise<void> {
    const fields = subscriptions.flatMap((each) => [subscriptionKey(each), this.host.packSubscription(each)])
    await this.write(operations.subscribe(this.clientId, this.epoch, fields))
    for (const each of subscriptions) this.subscriptionsByKey.set(subscriptionKey(each), each)
  }

  async unsubscribe(subscriptions: readonly Pick<Subscription, 'filter' | 'share'>[]): Promise<void> {
    const keys = subscriptions.map(subscriptionKey)
    await this.write(operations.unsubscribe(this.clientId, this.epoch, keys))
    for (const key of keys) this.subscriptionsByKey.delete(key)
  }

  async setExpiryInterval(seconds: number): Promise<void> {
    await this.write(operations.interval(this.clientId, this.epoch, seconds))
  }

  async close(expiresAt: number | undefined): Promise<void> {
    await this.write(operations.close(this.clientId, this.epoch, expiresAt, this.isShared))
    this.host.closed(this)
  }

  enqueue(
    message: Message,
    delivery: Delivery,
    done: (error: GatewayError | undefined, sequence: number | undefined) => void,
  ): void {
    const packed = this.host.packEnqueue(this, message, delivery)
    this.host.write(this, packed, false, (error, result) =>
      done(error, typeof result === 'number' ? result : undefined),
    )
  }

  read(afterSequence: number, limit: ReadLimit): Promise<readonly QueueEntry[]> {
    return this.host.read(this, afterSequence, limit)
  }

  settle(sequence: number, done: WriteDone): void {
    this.host.write(this, operations.settle(this.clientId, this.epoch, sequence), true, done)
  }

  release(sequence: number, done: WriteDone): void {
    this.host.write(this, operations.release(this.clientId, this.epoch, sequence), true, done)
  }

  forgetIncoming(packetId: number, done: WriteDone): void {
    this.host.write(this, operations.forget(this.clientId, this.epoch, packetId), true, (error) => {
      if (error === undefined) this.incoming.delete(packetId)
      done(error)
    })
  }

  /** Whether it is a member of a share group: then other nodes have to know whether it is online. */
  private get isShared(): boolean {
    for (const { share } of this.subscriptionsByKey.values()) if (share !== undefined) return true
    return false
  }

  private write(packed: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.host.write(this, packed, false, (error) => {
        if (error === undefined) resolve()
        else reject(error)
      })
    })
  }
}
