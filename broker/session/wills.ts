import type { Clock, Timer } from '../contract/clock.js'
import type { Engine } from '../contract/engine.js'
import type { ErrorCode, GatewayError } from '../contract/errors.js'
import type { SessionEvents } from '../contract/events.js'
import { Message } from '../contract/message.js'
import type { Adopted, SharedStore, Store, StoredWill } from '../contract/store.js'
import type { TimerWheel } from './timer-wheel.js'

/** Pause before a will that the store could not take is published again. */
const RETRY_MS = 1_000

/** Wills of a node that is no more that are published at a time. */
const AT_A_TIME = 256

/** The same will may be taken later. Any other failure would come again: it costs the will and nothing else. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['STORE_BUSY', 'STORE_UNWRITABLE'])

/** The gateway is going: what is stored is published by the next one. */
const ENDING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['STORE_CLOSED', 'NOT_RUNNING'])

interface DelayedWill {
  readonly timer: Timer
  readonly message: Message
  /** Its time had come, and the store did not take it: nothing stops it any more. */
  readonly refused: GatewayError | undefined
}

/**
 * Will messages (MQTT 5, 3.1.2.5; 3.1.1, 3.1.2.5). A will is stored at CONNECT, so that the one of a client that
 * was connected when the process died is published by the next process.
 */
export class Wills {
  private readonly delayed = new Map<string, DelayedWill>()

  constructor(
    private readonly store: Store,
    private readonly engine: Engine,
    private readonly wheel: TimerWheel,
    private readonly clock: Clock,
    private readonly events: SessionEvents,
    /** A delayed will that cannot be published when its time comes has nobody to be reported to. */
    private readonly onFailure: (error: unknown) => void,
    /** `store`, where other nodes answer for wills in it as well. */
    private readonly shared?: SharedStore,
  ) {}

  /**
   * A client connects with this will. It replaces whatever is stored under the id. Rejects with what the store says while
   * that does not take the will of an earlier connection.
   */
  async register(clientId: string, message: Message, delayInterval: number): Promise<void> {
    await this.publishOverdue(clientId)
    this.cancelDelay(clientId)
    await this.store.putWill(clientId, { message: message.own(), delayInterval, dueAt: undefined })
  }

  /** The client has left with DISCONNECT 0x00, or is back before the delay was over [MQTT-3.1.3-9]. Rejects like `register`. */
  async discard(clientId: string): Promise<void> {
    await this.publishOverdue(clientId)
    this.cancelDelay(clientId)
    await this.store.deleteWill(clientId)
  }

  /** Whether a delay runs for the id. */
  isDelayed(clientId: string): boolean {
    return this.delayed.has(clientId)
  }

  /**
   * The connection has ended without DISCONNECT 0x00. `sessionLastsMs`: how long the session goes on; the will
   * is published after its delay or with the end of the session, whichever is first [MQTT-3.1.3-9].
   */
  async connectionEnded(
    clientId: string,
    message: Message,
    delayInterval: number,
    sessionLastsMs: number,
  ): Promise<void> {
    const delayMs = Math.min(delayInterval * 1000, sessionLastsMs)
    if (delayMs <= 0) {
      await this.publish(clientId, message)
      return
    }
    const will = { message, delayInterval, dueAt: this.clock.now() + delayMs }
    this.arm(clientId, will)
    await this.store.putWill(clientId, will)
  }

  /** The session has ended while the delay was running. */
  async sessionEnded(clientId: string): Promise<void> {
    const delayed = this.delayed.get(clientId)
    if (delayed === undefined) return
    this.cancelDelay(clientId)
    await this.publish(clientId, delayed.message)
  }

  /**
   * Publishes what a former process left behind, before anybody can connect: a client that comes back and says
   * "online" must not be overtaken by its own "offline". `sessionLives`: a delay ends with the session, which may not
   * have survived the former process.
   */
  async restore(sessionLives: (clientId: string) => boolean): Promise<void> {
    for await (const [clientId, will] of this.store.wills())
      await this.answerFor(clientId, will, sessionLives(clientId))
  }

  /** The wills of a node that is no more, which are this one's now. */
  async adopt({ wills, sessions }: Adopted, sessionLives: (clientId: string) => boolean): Promise<void> {
    const closed = new Set(sessions)
    for (let i = 0; i < wills.length; i += AT_A_TIME) {
      const group = wills.slice(i, i + AT_A_TIME)
      await Promise.all(
        group.map(([clientId, will]) =>
          this.answerFor(clientId, will, closed.has(clientId) || sessionLives(clientId)),
        ),
      )
    }
  }

  /**
   * A client has come here whose former connection another node answers for and has not seen to. Published before its
   * CONNACK, so that it cannot overtake what the client says then; not at all when the client is back within the delay
   * and its session goes on [MQTT-3.1.3-9].
   */
  async takeFrom(clientId: string, node: string, sessionGoesOn: boolean): Promise<void> {
    const will = await this.shared?.takeWill(clientId, node)
    if (will === undefined) return
    if (sessionGoesOn && this.dueAt(will) > this.clock.now()) await this.store.deleteWill(clientId)
    else await this.publish(clientId, will.message)
  }

  /** Forgets the wills that are delayed. They stay in the store. */
  stop(): void {
    for (const { timer } of this.delayed.values()) timer.cancel()
    this.delayed.clear()
  }

  private async answerFor(clientId: string, will: StoredWill, sessionLives: boolean): Promise<void> {
    const dueAt = this.dueAt(will)
    if (dueAt <= this.clock.now() || !sessionLives) {
      await this.publish(clientId, will.message)
      return
    }
    await this.store.putWill(clientId, { ...will, dueAt })
    this.arm(clientId, { ...will, dueAt })
  }

  /** Without a time the connection has ended just now. */
  private dueAt({ dueAt, delayInterval }: StoredWill): number {
    return dueAt ?? this.clock.now() + delayInterval * 1000
  }

  /** There is room for one will under an id: the one that waits for the store has to go before another one comes. */
  private async publishOverdue(clientId: string): Promise<void> {
    const waiting = this.delayed.get(clientId)
    if (waiting?.refused === undefined) return
    this.cancelDelay(clientId)
    await this.publish(clientId, waiting.message)
    const refused = this.delayed.get(clientId)?.refused
    if (refused !== undefined) throw refused
  }

  private arm(clientId: string, will: StoredWill & { readonly dueAt: number }, refused?: GatewayError): void {
    const timer = this.wheel.schedule(will.dueAt - this.clock.now(), () => {
      this.delayed.delete(clientId)
      this.publish(clientId, will.message).catch(this.onFailure)
    })
    this.delayed.set(clientId, { timer, message: will.message, refused })
  }

  private cancelDelay(clientId: string): void {
    this.delayed.get(clientId)?.timer.cancel()
    this.delayed.delete(clientId)
  }

  /**
   * Once: what is stored of the message and the removal of the will are one write. A will that is not taken never holds
   * up what caused it: the end of a connection, or the start of the gateway.
   */
  private async publish(clientId: string, stored: Message): Promise<void> {
    const now = this.clock.now()
    const message = stored.expiresAt === undefined ? stored : restartExpiry(stored, now)
    const error = await new Promise<GatewayError | undefined>((resolve) => {
      this.engine.publishWill(message, clientId, resolve)
    })
    if (error !== undefined && ENDING.has(error.code)) return
    if (error !== undefined && PASSING.has(error.code)) {
      this.arm(clientId, { message: stored, delayInterval: 0, dueAt: now + RETRY_MS }, error)
      return
    }
    // Another node answers for it by now, or has published it.
    if (error?.code === 'SESSION_TAKEN') return
    if (error === undefined) {
      this.events.willPublished(clientId)
      return
    }
    this.events.messageDropped('store_failed', clientId, 1)
    await this.store.deleteWill(clientId)
  }
}

/** The Message Expiry Interval of a will counts from its publication (MQTT 5, 3.1.3.2.4). */
function restartExpiry(will: Message, now: number): Message {
  const lifetime = (will.expiresAt ?? 0) - will.receivedAt
  const { topic, payload, qos, retain, properties, publisherId } = will
  const expiresAt = now + lifetime
  return new Message({ topic, payload, qos, retain, properties, publisherId, receivedAt: now, expiresAt })
}
