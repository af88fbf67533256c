import type { Engine, EngineClient, PublishOrigin } from '../contract/engine.js'
import { isStoreRefusal, toldToClients, type GatewayError } from '../contract/errors.js'
import type { SessionEvents } from '../contract/events.js'
import { Message, type PublishProperties, type QoS } from '../contract/message.js'
import type { StoredSession } from '../contract/store.js'
import { topicNameFault, type TopicLimits } from '../contract/topic.js'
import type { Clock } from '../contract/clock.js'
import { ReasonCode } from '../wire/reason-codes.js'
import { AckLine, type AckType } from './ack-line.js'

/** What answers the client: the connection. */
export interface InboundLink {
  readonly version: 3 | 4 | 5
  sendAck(type: AckType, packetId: number, reasonCode: number, reason: string | undefined): void
  /** Ends the connection with a reason code (MQTT 5) or plainly (earlier versions). */
  refuse(reasonCode: number, rule: string, detail: string): void
  /** The store does not do what it is asked for: ends the connection. */
  failed(error: Error): void
  /** As many publishes are under way as may be: no more is read until `resumeReading`. */
  pauseReading(): void
  resumeReading(): void
}

export interface InboundOptions {
  readonly clientId: string
  readonly engineClient: EngineClient
  /** Not asked again for the topic that was allowed last, until `policyChanged`. */
  readonly mayPublish: (topic: string) => boolean
  readonly stored: StoredSession | undefined
  readonly receiveMaximum: number
  readonly topicLimits: TopicLimits
}

/**
 * PUBLISH and PUBREL of one client (MQTT 5, 4.3): accept, then acknowledge. An acknowledgement without an error
 * means that the message is stored for every durable subscriber and has been emitted.
 */
export class InboundPublishes {
  private readonly origin: PublishOrigin
  private readonly acks: AckLine
  /** QoS 2 identifiers whose PUBREL has not come; the stored ones of a durable session are in it from the start. */
  private readonly awaitingRelease: Set<number>
  /** Those of an earlier connection: Receive Maximum begins anew with each [MQTT-4.9.0-1]. */
  private readonly carriedOver: Set<number>
  /** QoS 2 identifiers whose message is being stored. */
  private readonly accepting = new Set<number>()
  /** QoS 1 and 2 publishes that are not acknowledged yet. */
  private pending = 0
  private paused = false
  private closed = false
  /** The last topic that the client was allowed: the wire hands out the same string when it comes again. */
  private allowed: string | undefined = undefined

  constructor(
    private readonly engine: Engine,
    private readonly link: InboundLink,
    private readonly events: SessionEvents,
    private readonly clock: Clock,
    private readonly options: InboundOptions,
  ) {
    this.origin = { client: options.engineClient, incoming: undefined }
    this.acks = new AckLine(link)
    this.awaitingRelease = new Set(options.stored?.incoming)
    this.carriedOver = new Set(this.awaitingRelease)
  }

  publish(
    topic: string,
    payload: Buffer,
    qos: QoS,
    retain: boolean,
    packetId: number,
    properties: PublishProperties | undefined,
    messageExpiryInterval: number | undefined,
  ): void {
    if (qos > 0 && !this.admit(qos, packetId)) return
    if (topic !== this.allowed) {
      const fault = topicNameFault(topic, this.options.topicLimits)
      if (fault !== undefined) {
        this.rejectTopic(fault, qos, packetId)
        return
      }
      if (!this.options.mayPublish(topic)) {
        this.reject(qos, packetId, ReasonCode.NotAuthorized, 'not_authorized')
        return
      }
      this.allowed = topic
    }
    const now = this.clock.now()
    const message = new Message({
      topic,
      payload,
      qos,
      retain,
      properties,
      publisherId: this.options.clientId,
      receivedAt: now,
      expiresAt: messageExpiryInterval === undefined ? undefined : now + messageExpiryInterval * 1000,
    })
    const { authorizePublish } = this.engine.hooks
    if (authorizePublish !== undefined) this.publishByHook(message, packetId, authorizePublish)
    else this.accept(message, packetId)
  }

  /** PUBREL: the identifier is free again, on disk before PUBCOMP says so [MQTT-4.3.3-11]. */
  release(packetId: number): void {
    if (!this.awaitingRelease.has(packetId)) {
      this.link.sendAck('pubcomp', packetId, ReasonCode.PacketIdentifierNotFound, undefined)
      return
    }
    const { stored } = this.options
    if (stored === undefined) {
      this.released(packetId)
      return
    }
    stored.forgetIncoming(packetId, (error) => {
      if (this.closed) return
      if (error === undefined) this.released(packetId)
      else this.link.failed(error)
    })
  }

  /** What the client may publish to has changed. */
  policyChanged(): void {
    this.allowed = undefined
  }

  /** The connection is gone: what is still under way is stored or not, but nobody is told. */
  close(): void {
    this.closed = true
  }

  private admit(qos: QoS, packetId: number): boolean {
    if (qos === 2 && (this.awaitingRelease.has(packetId) || this.accepting.has(packetId))) {
      // The same message again: acknowledged again, not published again [MQTT-4.3.3-10]. While the first copy is
      // still being stored its PUBREC is under way.
      if (!this.accepting.has(packetId)) this.link.sendAck('pubrec', packetId, ReasonCode.Success, undefined)
      return false
    }
    const underWay = this.pending + this.awaitingRelease.size - this.carriedOver.size
    if (this.link.version === 5 && underWay >= this.options.receiveMaximum) {
      this.link.refuse(
        ReasonCode.ReceiveMaximumExceeded,
        'MQTT-3.3.4-9',
        'more publishes under way than Receive Maximum',
      )
      return false
    }
    return true
  }

  private accept(message: Message, packetId: number): void {
    if (message.qos === 0) {
      this.engine.publish(message, this.origin, this.plainDone)
      return
    }
    const { stored } = this.options
    const origin =
      message.qos === 2 && stored !== undefined
        ? { client: this.options.engineClient, incoming: { session: stored, packetId } }
        : this.origin
    if (message.qos === 2) this.accepting.add(packetId)
    this.begin()
    const slot = this.acks.open(message.qos === 1 ? 'puback' : 'pubrec', packetId)
    this.engine.publish(message, origin, (error, matched) => {
      this.accepting.delete(packetId)
      this.finish()
      if (this.closed) return
      if (error !== undefined) {
        this.notStored(slot, error)
        return
      }
      if (message.qos === 2) this.awaitingRelease.add(packetId)
      this.acks.settle(slot, matched === 0 ? ReasonCode.NoMatchingSubscribers : ReasonCode.Success)
    })
  }

  private readonly plainDone = (error: GatewayError | undefined): void => {
    if (error !== undefined) this.events.messageDropped('store_failed', this.options.clientId, 1)
  }

  /** MQTT 5 is told; an earlier client only understands a closed connection, and sends again. */
  private notStored(slot: ReturnType<AckLine['open']>, error: GatewayError): void {
    this.events.messageDropped('store_failed', this.options.clientId, 1)
    // Not answered, so that the client sends it again: to whoever has its session, or to a node that is there.
    if (error.code === 'SESSION_TAKEN' || error.code === 'STORE_CLOSED') {
      this.link.failed(error)
      return
    }
    // A store with as many writes waiting as it takes says: later. PUBACK and PUBREC have no other code for that.
    const quota = error.code === 'QUOTA_EXCEEDED' || error.code === 'STORE_BUSY'
    const reasonCode = quota ? ReasonCode.QuotaExceeded : ReasonCode.UnspecifiedError
    if (this.link.version === 5) this.acks.settle(slot, reasonCode, toldToClients(error))
    else if (isStoreRefusal(error)) this.link.failed(error)
    else
      this.link.refuse(
        quota ? ReasonCode.QuotaExceeded : ReasonCode.ServerBusy,
        'MQTT-4.3.2-2',
        error.message,
      )
  }

  private publishByHook(
    message: Message,
    packetId: number,
    authorize: NonNullable<Engine['hooks']['authorizePublish']>,
  ): void {
    // The hook answers later: the payload must not be a view of a buffer that is read into again. Reading stops,
    // so that messages stay in order.
    message.own()
    this.link.pauseReading()
    authorize(this.options.engineClient, message)
      .then((allowed) => {
        if (this.closed) return
        if (allowed) this.accept(message, packetId)
        else this.reject(message.qos, packetId, ReasonCode.NotAuthorized, 'not_authorized')
      })
      .catch(() => {
        // A hook that fails says no.
        if (!this.closed) this.reject(message.qos, packetId, ReasonCode.NotAuthorized, 'not_authorized')
      })
      .finally(() => {
        if (!this.closed && !this.paused) this.link.resumeReading()
      })
  }

  private rejectTopic(fault: string, qos: QoS, packetId: number): void {
    // Wildcards in a topic name are malformed for every version; the rest is our bound [MQTT-3.3.2-2].
    if (fault === 'wildcard-in-name' || fault === 'empty' || fault === 'null-character') {
      this.link.refuse(ReasonCode.TopicNameInvalid, 'MQTT-3.3.2-2', `topic name: ${fault}`)
    } else {
      this.reject(qos, packetId, ReasonCode.TopicNameInvalid, 'invalid_topic')
    }
  }

  /**
   * A publish that is not carried out. MQTT 3.1.1 has no way to say so but to close the connection, which a client
   * answers by sending it again for ever; it is acknowledged, counted and dropped instead [MQTT-3.3.5-2].
   */
  private reject(
    qos: QoS,
    packetId: number,
    reasonCode: number,
    reason: 'not_authorized' | 'invalid_topic',
  ): void {
    this.events.messageDropped(reason, this.options.clientId, 1)
    if (qos === 0) return
    const told = this.link.version === 5
    if (qos === 2 && !told) this.awaitingRelease.add(packetId)
    this.acks.settle(
      this.acks.open(qos === 1 ? 'puback' : 'pubrec', packetId),
      told ? reasonCode : ReasonCode.Success,
    )
  }

  private released(packetId: number): void {
    this.awaitingRelease.delete(packetId)
    this.carriedOver.delete(packetId)
    this.link.sendAck('pubcomp', packetId, ReasonCode.Success, undefined)
  }

  private begin(): void {
    // An MQTT 3.1.1 client does not know a Receive Maximum: it is held back instead of refused.
    if (++this.pending >= this.options.receiveMaximum && this.link.version !== 5 && !this.paused) {
      this.paused = true
      this.link.pauseReading()
    }
  }

  private finish(): void {
    this.pending--
    if (this.paused && this.pending < this.options.receiveMaximum && !this.closed) {
      this.paused = false
      this.link.resumeReading()
    }
  }
}
