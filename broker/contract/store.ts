import type { GatewayError } from './errors.js'
import type { Message } from './message.js'
import type { Delivery, Subscription } from './subscription.js'
import type { Readiness } from './service.js'

/**
 * What has to outlive a connection, a process or (with Redis) a machine: sessions with their subscriptions and
 * queues, retained messages, wills, and the packet identifiers of QoS 2 publishes that wait for their PUBREL.
 *
 * Guarantee: once the callback of a write has been called without an error, the write survives the end of the
 * process; with `sync` on it survives the loss of power too. The memory store keeps the order and the atomicity
 * of the interface, and survives nothing.
 *
 * Order: writes become visible, and their callbacks are called, in the order of the calls, whatever their kind.
 * Implementations commit together what one tick of the event loop brings. A callback may be called before the
 * call returns. What is waiting to be written is bounded; beyond the bound a write fails with `STORE_BUSY`.
 */
export interface Store {
  readonly kind: 'memory' | 'level' | 'redis'

  /** Rejects with STORE_LOCKED, STORE_DAMAGED, STORE_VERSION or STORE_UNWRITABLE. */
  open(): Promise<void>
  /** Writes what is waiting, then releases everything. Later calls fail with STORE_CLOSED. */
  close(): Promise<void>
  /** Not ready while writes fail (disk full, Redis away), with the reason in words for an operator. */
  readiness(): Readiness

  /** Every stored session, once each, in no order; read at the start to fill the router and the expiry wheel. */
  sessions(): AsyncIterable<SessionRecord>

  /**
   * Opens the session of a client id for one connection, and makes any earlier handle of that id invalid (its
   * writes fail with SESSION_TAKEN). `cleanStart` discards what is stored first [MQTT-3.1.2-4].
   * The caller makes sure that calls for one client id do not overlap.
   */
  openSession(clientId: string, options: OpenOptions): Promise<StoredSession>
  /** Discards the session and all that belongs to it, whoever has it open. Does nothing when there is none. */
  discardSession(clientId: string): Promise<void>

  /**
   * Takes responsibility for a message, atomically: retained message, queue entries of all recipients and the
   * QoS 2 packet identifier are written together or not at all.
   */
  accept(accept: Accept, done: AcceptDone): void

  /**
   * Retained messages that match the filter and have not expired, in chunks of at most 256 messages and 64 KiB of
   * payload (a larger one comes alone). What is in a chunk is current when the chunk is handed out.
   */
  retained(filter: string): AsyncIterable<readonly Message[]>
  /** With a shared store as last heard: no reason to spare oneself a lookup. */
  readonly retainedCount: number

  /**
   * Keeps the will of a client, replacing an earlier one of the same id. With `dueAt` it is an update of the one that is
   * stored: it changes nothing when that is gone to another node.
   */
  putWill(clientId: string, will: StoredWill): Promise<void>
  deleteWill(clientId: string): Promise<void>
  /** Wills that a former process left behind; read at the start. */
  wills(): AsyncIterable<readonly [clientId: string, will: StoredWill]>
}

/**
 * A store that the nodes of a cluster have in common. What one node has written the others find; the bus and the
 * membership in `router/` stand on what follows.
 */
export interface SharedStore extends Store {
  /**
   * What this node's writes, open sessions, claims and wills are marked with; a fresh one for each `open` and
   * `rejoin`, so that nobody takes a process for the one that it has replaced.
   */
  readonly instance: string
  /**
   * Sets who hears that another node has taken over from this one (`adopt`): everything that is open is void, and
   * writes fail with SESSION_TAKEN until `rejoin`. Called once for each `instance`, when a write is refused; one
   * listener, set before `open`.
   */
  onFenced(listener: () => void): void
  /**
   * Begins anew under a fresh `instance`, after this one has been taken over from: whatever was open or waiting is let
   * go of (it fails with SESSION_TAKEN or STORE_CLOSED), and `follow` has to be called again. Rejects as `open` does, and
   * may be called again then.
   */
  rejoin(): Promise<void>

  /**
   * A connection of this client id is here now, whether or not it has something stored; any earlier claim of that id is
   * void. From then on nobody else begins anything for the client: `openSession` and `putWill` of another instance are
   * refused with SESSION_TAKEN, its `discardSession` does nothing. The will of a former connection stays with the node
   * that answers for it, until that publishes or deletes it or somebody takes it.
   * Calls of one tick share a round trip, also with an `openSession` of that tick behind it.
   */
  claim(clientId: string): Promise<ClientClaim>
  /** The connection is gone. Does nothing when the claim is void. */
  yield(clientId: string, epoch: number): Promise<void>
  /**
   * Makes the will of a client, which the other instance answers for, one of this node: for a takeover from a node that
   * does not answer. Undefined: there is none, or somebody else has taken or published it.
   */
  takeWill(clientId: string, from: string): Promise<StoredWill | undefined>

  /**
   * Tells changes of sessions that other nodes make, from now on: each at least once, those of one session in
   * order. Read `sessions()` after it has resolved.
   */
  follow(listener: SessionChangeListener): Promise<void>
  /** Resolves when every change that was made before the call has been told to the listener of `follow`. */
  caughtUp(): Promise<void>
  /**
   * Closed sessions whose time has come, at most so many. Each is given to one node, which has a minute to end it
   * (`discardExpired`) before another one is asked.
   */
  claimExpired(most: number): Promise<readonly string[]>
  /** As `discardSession`, unless the session has been opened again. Returns whether it was discarded. */
  discardExpired(clientId: string): Promise<boolean>
  /**
   * Takes over from a node that is no more, whose writes are refused from now on: finishes what it was accepting,
   * closes its sessions as of `now`, frees the client ids that it had claimed, and makes its wills those of this node.
   * To be called once its lease has ended; of several nodes that call it each thing goes to one. What a call that fails
   * midway has not done, the next one does.
   */
  adopt(instance: string): Promise<Adopted>
}

export interface ClientClaim {
  readonly clientId: string
  /** Above that of every earlier claim of the id, on whichever node. */
  readonly epoch: number
  /** The other instance that had claimed it, and whose connection has to end. */
  readonly takenFrom: string | undefined
  /**
   * The other instance that answers for a stored will of the id, also without a connection: one that is delayed. Whoever
   * claims sees to it (`takeWill`): it is published when the session ends, and not when that goes on.
   */
  readonly willOf: string | undefined
}

export interface SessionChangeListener {
  changed(change: SessionChange): void
  /** Changes were missed that nobody can tell any more: `sessions()` has to be read again. */
  missed(): void
}

export type SessionChange =
  | {
      readonly kind: 'subscribed'
      readonly clientId: string
      readonly subscriptions: readonly Subscription[]
      /** The instance that has the session open: online from now on, as far as share groups are concerned. */
      readonly node: string
    }
  /** `filters` as the client wrote them, `$share/` included. */
  | { readonly kind: 'unsubscribed'; readonly clientId: string; readonly filters: readonly string[] }
  | { readonly kind: 'ended'; readonly clientId: string }
  /** Told of sessions with a shared subscription alone: its members that are online come first. */
  | { readonly kind: 'opened'; readonly clientId: string; readonly node: string }
  | { readonly kind: 'closed'; readonly clientId: string }

export interface Adopted {
  /** Client ids of the sessions that the node had open. */
  readonly sessions: readonly string[]
  readonly wills: readonly (readonly [clientId: string, will: StoredWill])[]
}

export interface OpenOptions {
  readonly cleanStart: boolean
  /** Seconds; 0xFFFFFFFF: never. Above zero, else there is nothing to store. */
  readonly expiryInterval: number
  /**
   * Opens a session whose time is up as well, where others are found no more: what is left in its queue may belong to
   * the other members of a share group. The caller discards it then.
   */
  readonly evenExpired?: boolean
}

export interface SessionRecord {
  readonly clientId: string
  readonly subscriptions: readonly Subscription[]
  /** Seconds; 0xFFFFFFFF: never. */
  readonly expiryInterval: number
  /** Milliseconds since the epoch; undefined while a connection has the session open, or when it never expires. */
  readonly expiresAt: number | undefined
  /** Shared stores: the instance that has the session open. */
  readonly openOn?: string | undefined
}

/** A session in the hands of one connection. Every write is refused with SESSION_TAKEN once another one has opened it. */
export interface StoredSession {
  readonly clientId: string
  /** Whether there was something stored (CONNACK Session Present). */
  readonly present: boolean
  /** Shared stores: the other instance that had the session open, and whose connection has to end. */
  readonly takenFrom?: string | undefined
  readonly subscriptions: readonly Subscription[]
  /** Packet identifiers of QoS 2 publishes of the client that were accepted and not yet released. */
  readonly incoming: ReadonlySet<number>
  /** Every queued entry has a sequence number above this one. Starts at 0. */
  readonly settledUpTo: number
  /** Sequence number of the entry that was queued last, settled or not; at least `settledUpTo`. */
  readonly queuedUpTo: number

  /** Stores or replaces subscriptions (by filter and share). */
  subscribe(subscriptions: readonly Subscription[]): Promise<void>
  unsubscribe(subscriptions: readonly Pick<Subscription, 'filter' | 'share'>[]): Promise<void>
  /** A new expiry interval, from CONNECT or DISCONNECT. */
  setExpiryInterval(seconds: number): Promise<void>

  /** Queues one message for this session alone (retained messages on subscribe). */
  enqueue(
    message: Message,
    delivery: Delivery,
    done: (error: GatewayError | undefined, sequence: number | undefined) => void,
  ): void
  /** Entries after `sequence`, in order, at most so many and (except for the first) so many payload bytes. */
  read(afterSequence: number, limit: ReadLimit): Promise<readonly QueueEntry[]>
  /** The receiver has the message: removes the entry. Settling what is gone is no error. */
  settle(sequence: number, done: WriteDone): void
  /** PUBREC has come: what is left to send is PUBREL. The body may be forgotten. */
  release(sequence: number, done: WriteDone): void
  /** PUBREL has come: the packet identifier is free again. */
  forgetIncoming(packetId: number, done: WriteDone): void
  /** Entries in the queue. */
  readonly queued: number

  /** The connection is gone: the session expires at `expiresAt` (milliseconds since the epoch; undefined: never). */
  close(expiresAt: number | undefined): Promise<void>
}

export interface ReadLimit {
  readonly messages: number
  readonly bytes: number
  /**
   * Entries up to this sequence number may have been sent already: they are handed out even when they have expired
   * [MQTT-4.3.3-7]. Default: 0.
   */
  readonly startedUpTo?: number
}

export interface QueueEntry {
  /** 1 upwards without gaps, in the order of acceptance; entries that expired or were evicted leave gaps. */
  readonly sequence: number
  /** Once released: QoS 2 and nothing else, for PUBREL needs no more. */
  readonly delivery: Delivery
  /** Undefined once released. */
  readonly message: Message | undefined
}

export interface Accept {
  readonly message: Message
  /** Sessions that keep the message in their queues; a session that no longer exists is passed over. */
  readonly recipients: readonly Recipient[]
  /** Whether the message becomes (empty payload: removes) the retained message of its topic. */
  readonly retain: boolean
  /** QoS 2 from a durable session: stored in the same write, so that a resend is recognised after a restart. */
  readonly incoming: { readonly session: StoredSession; readonly packetId: number } | undefined
  /**
   * Client id whose stored will the message is: removed in the same write, so that it is published once, whoever dies.
   * With a shared store nothing is written, and the error is SESSION_TAKEN, when it is gone or another node answers for
   * it. Not together with `incoming`.
   */
  readonly will?: string | undefined
}

export interface Recipient {
  readonly clientId: string
  readonly delivery: Delivery
}

/**
 * Sequence numbers in the order of the recipients; undefined: not queued (session gone, or full and refusing).
 * `owners`, in the same order: the other instance that had the session open when the message was queued; undefined:
 * nobody elsewhere. Absent when that holds for all of them, and where the store is not shared.
 */
export type AcceptDone = (
  error: GatewayError | undefined,
  sequences: readonly (number | undefined)[],
  owners?: readonly (string | undefined)[],
) => void
export type WriteDone = (error: GatewayError | undefined) => void

export interface StoredWill {
  readonly message: Message
  /** Seconds after the connection ended (MQTT 5, 3.1.3.2.2). */
  readonly delayInterval: number
  /** Set when the connection has ended and the delay runs, milliseconds since the epoch. */
  readonly dueAt: number | undefined
}

/** Bounds of what a store keeps. */
export interface StoreLimits {
  /** Queue of one session. */
  readonly queuedMessages: number
  readonly queuedBytes: number
  /** What happens to a message for a full queue: it is not queued, or the oldest make room. Both are counted. */
  readonly whenFull: 'refuse-new' | 'drop-oldest'
  readonly retainedMessages: number
  readonly retainedBytes: number
}
