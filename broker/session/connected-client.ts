import type { EngineClient } from '../contract/engine.js'
import type { Message, QoS } from '../contract/message.js'
import type { PrincipalPolicy } from '../contract/policy.js'
import type { Principal } from '../contract/principal.js'
import type { StoredSession } from '../contract/store.js'
import type { Delivery } from '../contract/subscription.js'
import type { CloseCause, ConnectionInfo, Outbox } from '../contract/transport.js'
import type { Timer } from '../contract/clock.js'
import { encodeAck } from '../wire/ack-encoder.js'
import type { ReceiverLimits } from '../wire/packet.js'
import { encodePublish, encodeShared } from '../wire/publish-encoder.js'
import { ReasonCode } from '../wire/reason-codes.js'
import type { AckType } from './ack-line.js'
import { Deliveries, type DeliveryLink } from './deliveries.js'
import { InboundPublishes, type InboundLink } from './inbound-publishes.js'
import type { KeepAlive } from './keep-alive.js'
import { OutboundAliases } from './outbound-aliases.js'
import { RetainedDelivery, type RetainedLink } from './retained-delivery.js'
import type { Session, SessionLink } from './session.js'
import type { SessionLayer } from './session-layer.js'

interface AliasedPacket {
  readonly bytes: Buffer
  readonly droppable: boolean
}

/** What CONNECT settled about a connection. */
export interface ClientTerms extends ReceiverLimits {
  readonly clientId: string
  readonly version: 3 | 4 | 5
  readonly principal: Principal
  readonly policy: PrincipalPolicy
  /** Seconds; 0: the session ends with the connection. */
  readonly expiryInterval: number
  readonly receiveMaximum: number
  readonly topicAliasMaximum: number
  /** Method of enhanced authentication; a re-authentication has to use the same [MQTT-4.12.1-1]. */
  readonly authenticationMethod: string | undefined
  readonly authenticationData: Buffer | undefined
  readonly will: { readonly message: Message; readonly delayInterval: number } | undefined
}

/** The part of a connection that ends it and holds its reading. */
export interface ConnectionControl {
  readonly info: ConnectionInfo
  readonly outbox: Outbox
  end(cause: CloseCause, reasonCode: number, reason?: string): void
  violated(reasonCode: number, rule: string, detail: string): void
  failed(error: unknown): void
  pauseReading(): void
  resumeReading(): void
  /** Sends a control packet; ends the connection instead when the client does not take one of that size. */
  send(bytes: Buffer): void
  /** Lets go of the client id: resolves when session, will and engine have been told. Idempotent. */
  release(): Promise<void>
}

/**
 * A connection between its CONNACK and its end: the way in (`inbound`), the way out (`deliveries`, `sendPlain`),
 * and what was agreed on.
 */
export class ConnectedClient implements InboundLink, DeliveryLink, SessionLink, RetainedLink {
  readonly inbound: InboundPublishes
  readonly deliveries: Deliveries
  readonly retained: RetainedDelivery
  readonly clientId: string
  readonly version: 3 | 4 | 5
  keepAlive: KeepAlive | undefined
  policy: PrincipalPolicy
  principal: Principal
  /** Whether the log and the metrics have been told of the client: then they are told of its end. */
  announced = false
  /** The will of `terms`, as soon as the store has it: one that the client was not accepted with is none. */
  will: ClientTerms['will']
  /** Whether a deny rule covers part of what the client has subscribed to: each delivery is asked about. */
  filtersDeliveries = false

  private readonly aliases: OutboundAliases | undefined
  private authorizationEnd: Timer | undefined
  /** Called when the client takes more than it did, or is gone. */
  private onChange: (() => void) | undefined
  private isStopped = false

  constructor(
    private readonly layer: SessionLayer,
    readonly connection: ConnectionControl,
    readonly terms: ClientTerms,
    readonly session: Session,
    readonly stored: StoredSession | undefined,
    readonly engineClient: EngineClient,
  ) {
    const { limits, engine, events, clock } = layer
    this.clientId = terms.clientId
    this.version = terms.version
    this.policy = terms.policy
    this.principal = terms.principal
    const aliasMaximum = Math.min(terms.topicAliasMaximum, limits.topicAliasMaximum)
    this.aliases = aliasMaximum > 0 ? new OutboundAliases(aliasMaximum) : undefined
    this.inbound = new InboundPublishes(engine, this, events, clock, {
      clientId: terms.clientId,
      engineClient,
      mayPublish: (topic) => this.policy.mayPublish(topic),
      stored,
      receiveMaximum: limits.receiveMaximum,
      topicLimits: { maxLevels: limits.topicLevels, maxBytes: limits.topicBytes },
    })
    const queue = session.queue ?? stored
    if (queue === undefined) throw new Error('a session has a queue in memory or in the store')
    const window = Math.min(terms.receiveMaximum, limits.receiveMaximum)
    // A window does not bound what a former process may have sent: settled entries leave gaps, and its last
    // settlements may not have reached the disk. DUP says "might be", so all that it had queued gets it.
    if (session.restored) session.formerlySentUpTo = stored?.queuedUpTo ?? 0
    session.restored = false
    this.deliveries = new Deliveries(queue, this, {
      window,
      settledUpTo: stored?.settledUpTo ?? 0,
      maybeSentUpTo: session.maybeSentUpTo,
      sentUpTo: session.sentUpTo,
    })
    this.retained = new RetainedDelivery(this, layer.store)
  }

  /** QoS 0: encoded once for all receivers of a wire version; dropped first when the receiver is slow. */
  sendPlain(message: Message, delivery: Delivery): void {
    this.sendAtOnce(message, delivery, true)
  }

  sendRetained(message: Message, delivery: Delivery): void {
    this.sendAtOnce(message, delivery, false)
  }

  /**
   * A message for this session alone, of the embedding program or retained, among all that is queued for it. Rejects
   * when the store does not take it.
   */
  enqueue(message: Message, delivery: Delivery): Promise<void> {
    const { stored, session } = this
    if (stored === undefined || delivery.qos === 0) {
      session.deliver(message, delivery, undefined)
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      stored.enqueue(message, delivery, (error, sequence) => {
        if (error !== undefined) {
          reject(error)
          return
        }
        session.deliver(message, delivery, sequence)
        resolve()
      })
    })
  }

  sendPublish(message: Message, delivery: Delivery, packetId: number, dup: boolean): boolean {
    const wanted = this.wanted(message, dup)
    if (wanted === undefined) return false
    const now = this.timeFor(wanted)
    const { aliases } = this
    const bytes =
      aliases === undefined
        ? this.encode(wanted, delivery, packetId, dup, now, undefined, false)
        : this.encodeAliased(aliases, wanted, delivery, packetId, dup, now).bytes
    return this.put(wanted, bytes, delivery.qos, false)
  }

  sendPubRel(packetId: number, reasonCode: number): void {
    this.send(encodeAck('pubrel', packetId, reasonCode, this.version))
  }

  sendAck(type: AckType, packetId: number, reasonCode: number, reasonString: string | undefined): void {
    const properties = reasonString === undefined ? undefined : { reasonString }
    this.send(encodeAck(type, packetId, reasonCode, this.version, properties, this.terms))
  }

  /** A control packet: never dropped. */
  send(bytes: Buffer): void {
    this.connection.send(bytes)
  }

  /** A re-authentication has succeeded: rules and end of the authorization are those of the new principal. */
  authorize(principal: Principal): void {
    this.principal = principal
    this.policy = this.layer.policy.forPrincipal(principal, this.clientId)
    this.filtersDeliveries = false
    this.inbound.policyChanged()
    this.limitAuthorization(principal)
  }

  /** The right to be connected ends with the token that gave it. */
  limitAuthorization({ expiresAt }: Principal): void {
    this.authorizationEnd?.cancel()
    this.authorizationEnd = undefined
    if (expiresAt === undefined) return
    const { wheel, clock } = this.layer
    this.authorizationEnd = wheel.schedule(expiresAt - clock.now(), () => {
      this.connection.end('authorization_expired', ReasonCode.NotAuthorized, 'the authorization has expired')
    })
  }

  /** The socket has taken what was pending: queue and retained messages go on. */
  drained(): void {
    this.deliveries.drained()
    this.onChange?.()
  }

  /** All that was queued has been sent. */
  caughtUp(): void {
    this.onChange?.()
  }

  takesMore(qos: QoS): boolean {
    return this.writable && (qos === 0 || this.deliveries.caughtUp)
  }

  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.onChange = resolve
    })
  }

  /** Ends what runs on its own; nothing is scheduled after it. */
  stop(): void {
    this.isStopped = true
    this.keepAlive?.stop()
    this.authorizationEnd?.cancel()
    this.onChange?.()
  }

  get stopped(): boolean {
    return this.isStopped
  }

  get writable(): boolean {
    return !this.connection.outbox.congested
  }

  refuse(reasonCode: number, rule: string, detail: string): void {
    this.connection.violated(reasonCode, rule, detail)
  }

  failed(error: Error): void {
    this.connection.failed(error)
  }

  pauseReading(): void {
    this.connection.pauseReading()
  }

  resumeReading(): void {
    this.connection.resumeReading()
  }

  /**
   * What of a message this client may have, now; undefined: nothing, and that is counted. What was sent before is
   * sent again whatever its expiry [MQTT-4.3.3-7].
   */
  private wanted(message: Message, sentBefore: boolean): Message | undefined {
    if (this.filtersDeliveries && !this.policy.mayReceive(message.topic)) {
      this.layer.events.messageDropped('receive_denied', this.clientId, 1)
      return undefined
    }
    if (!sentBefore && message.expiresAt !== undefined && message.expired(this.layer.clock.now())) {
      this.layer.events.messageDropped('expired', this.clientId, 1)
      return undefined
    }
    const { authorizeForward } = this.layer.engine.hooks
    return authorizeForward === undefined ? message : authorizeForward(this.engineClient, message)
  }

  /** What the encoder has to know of the time; most messages never expire, and a look at the clock takes 40 ns. */
  private timeFor(message: Message): number {
    return message.expiresAt === undefined ? 0 : this.layer.clock.now()
  }

  private sendAtOnce(message: Message, delivery: Delivery, mayDrop: boolean): void {
    const wanted = this.wanted(message, false)
    if (wanted === undefined) return
    const now = this.timeFor(wanted)
    const { aliases } = this
    if (aliases !== undefined) {
      const { bytes, droppable } = this.encodeAliased(aliases, wanted, delivery, 0, false, now)
      this.put(wanted, bytes, 0, droppable && mayDrop)
    } else if (delivery.identifiers.length > 0) {
      this.put(wanted, this.encode(wanted, delivery, 0, false, now, undefined, false), 0, mayDrop)
    } else {
      this.put(wanted, encodeShared(wanted, this.version, delivery.retain, now), 0, mayDrop)
    }
  }

  private encode(
    message: Message,
    { qos, retain, identifiers }: Delivery,
    packetId: number,
    dup: boolean,
    now: number,
    topicAlias: number | undefined,
    omitTopic: boolean,
  ): Buffer {
    const { version } = this
    // Written out: a spread of shared options took 30 % of a QoS 1 delivery.
    return encodePublish(message, {
      version,
      qos,
      retain,
      dup,
      packetId,
      identifiers,
      topicAlias,
      omitTopic,
      now,
    })
  }

  private encodeAliased(
    aliases: OutboundAliases,
    message: Message,
    delivery: Delivery,
    packetId: number,
    dup: boolean,
    now: number,
  ): AliasedPacket {
    const { alias, fresh } = aliases.assign(message.topic)
    const bytes = this.encode(message, delivery, packetId, dup, now, alias, !fresh)
    // The packet that tells the client an alias must arrive, or later ones mean nothing to it.
    if (!fresh || bytes.length <= this.terms.maximumPacketSize) return { bytes, droppable: !fresh }
    // The alias itself takes three bytes, and is no reason to withhold a message.
    aliases.revoke(message.topic)
    return { bytes: this.encode(message, delivery, packetId, dup, now, undefined, false), droppable: true }
  }

  private put(message: Message, bytes: Buffer, qos: Delivery['qos'], droppable: boolean): boolean {
    if (bytes.length > this.terms.maximumPacketSize) {
      this.layer.events.messageDropped('too_large', this.clientId, 1)
      return false
    }
    this.connection.outbox.send(bytes, droppable)
    this.layer.events.messageSent(qos, message.payload.length)
    return true
  }
}
