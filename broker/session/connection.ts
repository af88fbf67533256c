import type { AuthenticationExchange } from '../contract/enhanced-authentication.js'
import type { Timer } from '../contract/clock.js'
import { isStoreRefusal, toldToClients } from '../contract/errors.js'
import type { ConnectRefusal } from '../contract/events.js'
import type { Message, PublishProperties, QoS } from '../contract/message.js'
import type { Subscription } from '../contract/subscription.js'
import type { CloseCause, ConnectionHandler, ConnectionInfo, Outbox } from '../contract/transport.js'
import { encodeConnAck } from '../wire/connack-encoder.js'
import { PINGRESP } from '../wire/control-encoder.js'
import { PacketDecoder } from '../wire/packet-decoder.js'
import type {
  AckPacket,
  AuthPacket,
  ConnectPacket,
  DisconnectPacket,
  InboundPacket,
  PacketHandler,
  ProtocolVersion,
  WireViolation,
} from '../wire/packet.js'
import { ReasonCode, connectReturnCode } from '../wire/reason-codes.js'
import { AuthExchange, type AuthLink } from './auth-exchange.js'
import { isTaken } from './cluster/client-claims.js'
import { connect, type ConnectingConnection } from './connect.js'
import type { ConnectedClient } from './connected-client.js'
import { causeOf, goodbye } from './connection-end.js'
import { reauthenticate } from './reauthenticate.js'
import type { SessionLayer } from './session-layer.js'
import {
  addSubscriptions,
  dropDeniedSubscriptions,
  removeSubscriptions,
  subscribe,
  unsubscribe,
} from './subscribe.js'

type Phase = 'awaiting-connect' | 'connecting' | 'connected' | 'closing' | 'closed'

/**
 * One connection from its first byte to its last: hands packets to the exchanges and ends what goes against the
 * rules. Everything that is only there after CONNACK is in `ConnectedClient`.
 */
export class Connection implements ConnectionHandler, PacketHandler, ConnectingConnection, AuthLink {
  clientId = ''
  clean = true
  version: ProtocolVersion = 4

  private phase: Phase = 'awaiting-connect'
  private client: ConnectedClient | undefined
  private cause: CloseCause | undefined
  private connectTimer: Timer | undefined
  private holds = 0
  private expiryInterval = 0
  /** What a CONNACK may be sent in; undefined while nothing says that the client speaks MQTT. */
  private answerIn: ProtocolVersion | undefined
  /** Of the client, in bytes [MQTT-3.1.2-24]. */
  private maximumPacketSize = Infinity
  private leftWithDisconnect = false
  private releasing: Promise<void> | undefined
  private authExchange: AuthExchange | undefined
  private readonly decoder: PacketDecoder

  constructor(
    readonly info: ConnectionInfo,
    readonly outbox: Outbox,
    private readonly layer: SessionLayer,
  ) {
    const { limits, wheel } = layer
    this.decoder = new PacketDecoder(
      { maxPacketSize: limits.packetSize, topicAliasMaximum: limits.topicAliasMaximum },
      this,
    )
    this.connectTimer = wheel.schedule(limits.connectTimeoutSeconds * 1000, () => this.outOfTime())
  }

  // ---- what the transport calls

  received(bytes: Buffer, start = 0, end = bytes.length): void {
    this.client?.keepAlive?.heard()
    this.decoder.push(bytes, start, end)
  }

  drained(): void {
    this.client?.drained()
  }

  closed(cause: CloseCause): void {
    this.cause ??= cause
    this.phase = 'closed'
    this.decoder.stop()
    this.stopTimers()
    if (this.client === undefined) return
    const { lock } = this.layer.sessions
    lock.run(this.clientId, () => this.release()).catch(this.layer.onDefect)
  }

  // ---- what the decoder calls

  publish(
    topic: string,
    payload: Buffer,
    qos: QoS,
    retain: boolean,
    _dup: boolean,
    packetId: number,
    properties: PublishProperties | undefined,
    messageExpiryInterval: number | undefined,
  ): void {
    if (this.client === undefined) {
      this.violated(ReasonCode.ProtocolError, 'MQTT-3.1.2-30', 'PUBLISH before CONNACK')
      return
    }
    this.layer.events.messageReceived(qos, payload.length)
    this.client.inbound.publish(topic, payload, qos, retain, packetId, properties, messageExpiryInterval)
  }

  packet(packet: InboundPacket): void {
    if (packet.type === 'connect') {
      this.connect(packet)
      return
    }
    if (packet.type === 'auth') {
      this.authReceived(packet)
      return
    }
    const { client } = this
    if (client === undefined) {
      // Only an exchange of AUTH packets reads between CONNECT and CONNACK.
      if (packet.type === 'disconnect') this.end('client_disconnect', ReasonCode.Success)
      else this.violated(ReasonCode.ProtocolError, 'MQTT-3.1.2-30', `${packet.type} before CONNACK`)
      return
    }
    switch (packet.type) {
      case 'puback':
      case 'pubrec':
      case 'pubrel':
      case 'pubcomp':
        this.acknowledged(client, packet)
        break
      case 'subscribe':
        this.hold(subscribe(client, packet, this.layer))
        break
      case 'unsubscribe':
        this.hold(unsubscribe(client, packet, this.layer))
        break
      case 'pingreq':
        client.send(PINGRESP)
        this.layer.engine.events.ping(client.engineClient)
        break
      case 'disconnect':
        this.disconnected(packet)
        break
    }
  }

  violation({ reasonCode, rule, detail, version }: WireViolation): void {
    if (this.client === undefined) this.answerIn = version
    this.violated(reasonCode, rule, detail)
  }

  // ---- what the exchanges call

  /** CONNECT has been read: hooks and logs know the client by its id from now on. */
  identified(clientId: string, packet: ConnectPacket): void {
    this.clientId = clientId
    this.clean = packet.cleanStart
  }

  established(client: ConnectedClient): void {
    this.client = client
    this.expiryInterval = client.terms.expiryInterval
  }

  /** Whether the connection has ended or is ending. */
  isGone(): boolean {
    return this.phase === 'closing' || this.phase === 'closed'
  }

  /** Whether we do not read what the client sends. */
  get held(): boolean {
    return this.holds > 0
  }

  get connected(): boolean {
    return this.phase === 'connected'
  }

  end(cause: CloseCause, reasonCode: number, reason?: string): void {
    if (this.isGone()) return
    const { client } = this
    if (
      client !== undefined &&
      this.version === 5 &&
      this.phase === 'connected' &&
      cause !== 'client_disconnect'
    ) {
      const packet = goodbye(reasonCode, reason, this.layer.settings.serverReference, client.terms)
      if (packet !== undefined) this.outbox.send(packet, false)
    }
    this.phase = 'closing'
    this.cause = cause
    this.decoder.stop()
    this.stopTimers()
    this.outbox.close(cause)
  }

  violated(reasonCode: number, rule: string, detail: string): void {
    if (this.isGone()) return
    this.layer.events.protocolViolation(
      this.info,
      this.clientId === '' ? undefined : this.clientId,
      rule,
      detail,
    )
    const cause = causeOf(reasonCode)
    const { engine } = this.layer
    if (this.client === undefined) {
      engine.events.connectionError(engine.client(this), new Error(detail))
      this.refuseConnect(reasonCode, cause)
      return
    }
    engine.events.clientError(this.client.engineClient, new Error(detail))
    this.end(cause, reasonCode, detail)
  }

  pauseReading(): void {
    if (this.holds++ > 0) return
    this.decoder.pause()
    this.outbox.pause()
  }

  resumeReading(): void {
    if (--this.holds > 0 || this.isGone()) return
    this.outbox.resume()
    this.decoder.resume()
  }

  release(): Promise<void> {
    const { client } = this
    if (client === undefined) return Promise.resolve()
    this.releasing ??= this.letGo(client)
    return this.releasing
  }

  /** The AUTH packets of CONNECT: nothing else is read until the method has decided. */
  async authenticateInSteps(method: string, exchange: AuthenticationExchange, first: Buffer | undefined) {
    this.authExchange = new AuthExchange(method, exchange, this)
    this.resumeReading()
    const outcome = await this.authExchange.run(first)
    this.authExchange = undefined
    this.pauseReading()
    return outcome
  }

  /**
   * Sends a control packet. A client that does not even take the shortest form of one can not be served
   * [MQTT-3.1.2-24]: the connection ends.
   */
  send(bytes: Buffer): void {
    if (bytes.length <= this.maximumPacketSize) this.outbox.send(bytes, false)
    else this.end('packet_too_large', ReasonCode.PacketTooLarge)
  }

  // ---- what an embedding program calls through the engine

  close(cause: CloseCause, done: () => void): void {
    this.end(cause, ReasonCode.AdministrativeAction)
    this.layer.sessions.lock
      .run(this.clientId, () => this.release())
      .then(done, (error: unknown) => {
        this.layer.onDefect(error)
        done()
      })
  }

  async deliver(message: Message): Promise<void> {
    const { qos, retain } = message
    await this.client?.enqueue(message, { qos, retain, identifiers: [], sharedFilter: undefined })
  }

  async clearQueue(): Promise<void> {
    await this.client?.deliveries.discardWaiting()
  }

  async subscribe(subscriptions: readonly Subscription[]): Promise<void> {
    if (this.client !== undefined) await addSubscriptions(this.client, subscriptions, this.layer)
  }

  async unsubscribe(filters: readonly string[]): Promise<void> {
    if (this.client !== undefined) await removeSubscriptions(this.client, filters, this.layer)
  }

  /** What the client needs has failed, not by its doing: the store, or a defect. It may try again. */
  failed(error: unknown): void {
    if (isTaken(error)) {
      this.end('taken_over', ReasonCode.SessionTakenOver)
    } else if (isStoreRefusal(error)) {
      this.end('server_busy', ReasonCode.ServerBusy, toldToClients(error))
    } else {
      this.layer.onDefect(error)
      this.end('internal_error', ReasonCode.UnspecifiedError)
    }
  }

  // ---- exchanges that are too small for a file

  private connect(packet: ConnectPacket): void {
    this.phase = 'connecting'
    this.version = this.answerIn = packet.version
    this.maximumPacketSize = packet.maximumPacketSize ?? Infinity
    this.pauseReading()
    connect(this, packet, this.layer).then(
      (outcome) => {
        this.connectTimer?.cancel()
        this.connectTimer = undefined
        if (outcome === undefined || this.isGone()) return
        if ('reasonCode' in outcome) {
          this.refused(outcome.reasonCode, outcome.reason)
          return
        }
        this.phase = 'connected'
        this.resumeReading()
      },
      (error: unknown) => {
        if (this.client === undefined) {
          this.layer.onDefect(error)
          this.refused(ReasonCode.ServerUnavailable, 'server_unavailable')
        } else this.failed(error)
      },
    )
  }

  private refused(reasonCode: number, reason: ConnectRefusal): void {
    if (this.isGone()) return
    this.layer.events.connectRefused(this.info, this.clientId === '' ? undefined : this.clientId, reason)
    this.refuseConnect(reasonCode, 'not_authorized')
  }

  /**
   * Ends the connection before CONNECT has been accepted: with a CONNACK where the client's version has a code for
   * it [MQTT-3.1.4-1] [MQTT-3.1.1/3.2.2-6], and never with DISCONNECT [MQTT-3.14.0-1].
   */
  private refuseConnect(reasonCode: number, cause: CloseCause): void {
    const { answerIn } = this
    if (answerIn === 5 || (answerIn !== undefined && connectReturnCode(reasonCode) !== undefined))
      this.send(encodeConnAck({ sessionPresent: false, reasonCode }, answerIn))
    this.end(cause, reasonCode)
  }

  private authReceived(packet: AuthPacket): void {
    const { client, layer } = this
    if (this.authExchange !== undefined) {
      this.authExchange.received(packet)
      return
    }
    const method = client?.terms.authenticationMethod
    const mechanism = method === undefined ? undefined : layer.enhancedAuthentication.mechanism(method)
    const fits = packet.reasonCode === ReasonCode.ReAuthenticate && packet.authenticationMethod === method
    if (client === undefined || method === undefined || mechanism === undefined || !fits) {
      this.violated(ReasonCode.ProtocolError, 'MQTT-4.12.1-1', 'AUTH outside of an exchange')
      return
    }
    const exchange = mechanism.begin({
      clientId: this.clientId,
      username: undefined,
      current: client.principal,
    })
    this.authExchange = new AuthExchange(method, exchange, this)
    reauthenticate(client, this.authExchange, packet.authenticationData, layer)
      .then((proven) => {
        this.authExchange = undefined
        if (proven) this.hold(dropDeniedSubscriptions(client, layer))
      })
      .catch(layer.onDefect)
  }

  private acknowledged(client: ConnectedClient, packet: AckPacket): void {
    const { type, packetId, reasonCode } = packet
    if (type === 'pubrel') {
      client.inbound.release(packetId)
    } else if (type === 'pubrec') {
      // An unknown identifier is answered, so that the client can let go of it [MQTT-4.3.3-7].
      if (!client.deliveries.received(packetId, reasonCode) && reasonCode < 0x80) {
        client.sendPubRel(packetId, ReasonCode.PacketIdentifierNotFound)
      }
    } else {
      // Acknowledging what is not under way harms nobody: after a resume both sides may disagree for a moment.
      const settled =
        type === 'puback' ? client.deliveries.acknowledged(packetId) : client.deliveries.completed(packetId)
      if (settled !== undefined) this.layer.engine.events.ack(client.engineClient, settled.message)
    }
  }

  private disconnected(packet: DisconnectPacket): void {
    const { sessionExpiryInterval } = packet
    if (sessionExpiryInterval !== undefined) {
      if (this.expiryInterval === 0 && sessionExpiryInterval > 0) {
        this.violated(
          ReasonCode.ProtocolError,
          'MQTT-3.14.2-2',
          'session expiry raised from zero in DISCONNECT',
        )
        return
      }
      this.expiryInterval = Math.min(sessionExpiryInterval, this.layer.limits.sessionExpiryMaximumSeconds)
    }
    this.leftWithDisconnect = packet.reasonCode === ReasonCode.Success
    this.end('client_disconnect', ReasonCode.Success)
  }

  /** Nothing more is read until the exchange is over, so that the next packet finds its effect. */
  private hold(exchange: Promise<void>): void {
    this.pauseReading()
    exchange.catch((error: unknown) => this.failed(error)).finally(() => this.resumeReading())
  }

  private outOfTime(): void {
    if (this.phase === 'connecting' && this.authExchange === undefined) {
      // It is us who are late: the store is away, or whoever decides about credentials.
      this.refused(ReasonCode.ServerUnavailable, 'server_unavailable')
      return
    }
    this.layer.engine.events.connectionError(
      this.layer.engine.client(this),
      new Error('connect did not arrive in time'),
    )
    this.end('connect_timeout', ReasonCode.MaximumConnectTime)
  }

  private async letGo(client: ConnectedClient): Promise<void> {
    const cause = this.cause ?? 'internal_error'
    // At a shutdown the will stays in the store, for the next process. Where other nodes go on this one may live for
    // long, drained: whoever does not come back to them has gone [MQTT-3.1.2-8].
    const keepWill = cause === 'server_shutdown' && this.layer.cluster === undefined
    if (client.announced) this.layer.events.disconnected(this.info, this.clientId, cause)
    await this.layer.sessions.release(client, this.expiryInterval, !this.leftWithDisconnect, keepWill)
  }

  private stopTimers(): void {
    this.connectTimer?.cancel()
    this.connectTimer = undefined
    this.authExchange?.abandon()
    this.client?.stop()
  }
}
