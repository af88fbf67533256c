import type { Clock, Timer } from '../contract/clock.js'
import type { Engine } from '../contract/engine.js'
import type { ErrorCode, GatewayError } from '../contract/errors.js'
import type { SessionEvents } from '../contract/events.js'
import { Message } from '../contract/message.js'
import type { Store, StoredWill } from '../contract/store.js'
import type { TimerWheel } from './timer-wheel.js'

/** Pause before a will that the store could not take is published again. */
const RETRY_MS = 1_000

/** The same will may be taken later. Any other failure would come again: it costs the will and nothing else. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['STORE_BUSY', 'STORE_UNWRITABLE'])

/** The gateway is going: what is stored is published by the next one. */
const ENDING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['STORE_CLOSED', 'NOT_RUNNING'])

/**
 * Will messages (MQTT 5, 3.1.2.5; 3.1.1, 3.1.2.5). A will is stored at CONNECT, so that the one of a client that
 * was connected when the process died is published by the next process.
 */
export class Wills {
  private readonly delayed = new Map<string, { readonly timer: Timer; readonly message: Message }>()

  constructor(
    private readonly store: Store,
    private readonly engine: Engine,
    private readonly wheel: TimerWheel,
    private readonly clock: Clock,
    private readonly events: SessionEvents,
    /** A delayed will that cannot be published when its time comes has nobody to be reported to. */
    private readonly onFailure: (error: unknown) => void,
  ) {}

  /** A client connects with this will. It replaces whatever is stored under the id. */
  async register(clientId: string, message: Message, delayInterval: number): Promise<void> {
    this.cancelDelay(clientId)
    await this.store.putWill(clientId, { message: message.own(), delayInterval, dueAt: undefined })
  }

  /** The client has left with DISCONNECT 0x00, or is back before the delay was over [MQTT-3.1.3-9]. */
  async discard(clientId: string): Promise<void> {
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
  async restore(sessionLives: (clientId: string) => boolean): Promise<number> {
    let published = 0
    for await (const [clientId, will] of this.store.wills()) {
      const dueAt = will.dueAt ?? this.clock.now() + will.delayInterval * 1000
      if (dueAt <= this.clock.now() || !sessionLives(clientId)) {
        await this.publish(clientId, will.message)
        published++
      } else {
        await this.store.putWill(clientId, { ...will, dueAt })
        this.arm(clientId, { ...will, dueAt })
      }
    }
    return published
  }

  stop(): void {
    for (const { timer } of this.delayed.values()) timer.cancel()
    this.delayed.clear()
  }

  private arm(clientId: string, will: StoredWill & { readonly dueAt: number }): void {
    const timer = this.wheel.schedule(will.dueAt - this.clock.now(), () => {
      this.delayed.delete(clientId)
      this.publish(clientId, will.message).catch(this.onFailure)
    })
    this.delayed.set(clientId, { timer, message: will.message })
  }

  private cancelDelay(clientId: string): void {
    this.delayed.get(clientId)?.timer.cancel()
    this.delayed.delete(clientId)
  }

  /**
   * Published first, deleted after: a crash between the two publishes it again rather than never. A will that is not
   * taken never holds up what caused it: the end of a connection, or the start of the gateway.
   */
  private async publish(clientId: string, stored: Message): Promise<void> {
    const now = this.clock.now()
    const message = stored.expiresAt === undefined ? stored : restartExpiry(stored, now)
    const error = await new Promise<GatewayError | undefined>((resolve) => {
      this.engine.publish(message, undefined, resolve)
    })
    if (error !== undefined && ENDING.has(error.code)) return
    if (error !== undefined && PASSING.has(error.code)) {
      this.arm(clientId, { message: stored, delayInterval: 0, dueAt: now + RETRY_MS })
      return
    }
    if (error === undefined) this.events.willPublished(clientId)
    else this.events.messageDropped('store_failed', clientId, 1)
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
