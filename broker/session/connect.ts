import type { ConnectRefusal } from '../contract/events.js'
import { Message } from '../contract/message.js'
import type { Principal, RefusalReason } from '../contract/principal.js'
import type { ConnectionInfo } from '../contract/transport.js'
import { topicNameFault } from '../contract/topic.js'
import type { ConnAckProperties, ConnectPacket, WillFields } from '../wire/packet.js'
import { encodeConnAck } from '../wire/connack-encoder.js'
import { ReasonCode } from '../wire/reason-codes.js'
import type { AuthenticationExchange } from '../contract/enhanced-authentication.js'
import type { EngineClient, EngineConnection, EngineHooks } from '../contract/engine.js'
import { ConnectedClient, type ClientTerms, type ConnectionControl } from './connected-client.js'
import type { ExchangeEnd } from './auth-exchange.js'
import { KeepAlive } from './keep-alive.js'
import { dropDeniedSubscriptions } from './subscribe.js'
import { NEVER } from './session.js'
import type { SessionLayer } from './session-layer.js'

/** CONNECT that is not accepted: the reason code for CONNACK and the reason for metric and log. */
export interface Refusal {
  readonly reasonCode: number
  readonly reason: ConnectRefusal
}

/** The connection as CONNECT uses it. */
export interface ConnectingConnection extends ConnectionControl, EngineConnection {
  readonly info: ConnectionInfo
  isGone(): boolean
  readonly held: boolean
  /** CONNECT has been read: hooks and logs know the client by its id from now on. */
  identified(clientId: string, packet: ConnectPacket): void
  /** The client id is held: the end of the connection releases the session. */
  established(client: ConnectedClient): void
  /** Runs the AUTH packets of CONNECT; undefined: the connection is gone. */
  authenticateInSteps(
    method: string,
    exchange: AuthenticationExchange,
    first: Buffer | undefined,
  ): Promise<ExchangeEnd | undefined>
}

interface Identity {
  readonly principal: Principal
  /** Goes into CONNACK. */
  readonly authenticationData: Buffer | undefined
}

/**
 * CONNECT (MQTT 5, 3.1 and 4.12): who is it, may it, with what session. Resolves to the client that is connected,
 * to a refusal, or to undefined when the connection went away meanwhile.
 */
export async function connect(
  connection: ConnectingConnection,
  packet: ConnectPacket,
  layer: SessionLayer,
): Promise<ConnectedClient | Refusal | undefined> {
  const clientId = identify(packet, layer)
  if (typeof clientId !== 'string') return clientId
  connection.identified(clientId, packet)
  const engineClient = layer.engine.client(connection)

  const identity = await authenticate(connection, packet, clientId, engineClient, layer)
  if (identity === undefined || connection.isGone()) return undefined
  if ('reasonCode' in identity) return identity
  const { principal } = identity

  const policy = layer.policy.forPrincipal(principal, clientId)
  const now = layer.clock.now()
  if (principal.expiresAt !== undefined && principal.expiresAt <= now) {
    return { reasonCode: ReasonCode.BadUserNameOrPassword, reason: 'token_expired' }
  }
  let will: ClientTerms['will']
  if (packet.will !== undefined) {
    const fault = topicNameFault(packet.will.topic, topicLimits(layer))
    if (fault !== undefined) return { reasonCode: ReasonCode.TopicNameInvalid, reason: 'not_authorized' }
    if (!policy.mayPublish(packet.will.topic))
      return { reasonCode: ReasonCode.NotAuthorized, reason: 'not_authorized' }
    will = { message: willMessage(packet.will, clientId, now), delayInterval: packet.will.delayInterval }
  }
  const terms: ClientTerms = {
    clientId,
    version: packet.version,
    principal,
    policy,
    expiryInterval: expiryInterval(packet, layer),
    receiveMaximum: packet.receiveMaximum ?? 65_535,
    maximumPacketSize: packet.maximumPacketSize ?? Infinity,
    topicAliasMaximum: packet.topicAliasMaximum,
    problemInformation: packet.requestProblemInformation,
    authenticationMethod: packet.authenticationMethod,
    authenticationData: identity.authenticationData,
    will,
  }
  return layer.sessions.lock.run(clientId, () => establish(connection, packet, terms, engineClient, layer))
}

/** With the client id to ourselves: session, registration, CONNACK, and what waited in the queue. */
async function establish(
  connection: ConnectingConnection,
  packet: ConnectPacket,
  terms: ClientTerms,
  engineClient: EngineClient,
  layer: SessionLayer,
): Promise<ConnectedClient | Refusal | undefined> {
  const { sessions, wills, engine, clock, events } = layer
  const { clientId, principal } = terms
  if (connection.isGone()) return undefined
  const { refusal } = layer.departure
  if (refusal !== undefined) return { reasonCode: refusal, reason: 'shutting_down' }
  if (layer.cluster?.suspended === true)
    return { reasonCode: ReasonCode.ServerUnavailable, reason: 'server_unavailable' }
  const isGone = () => connection.isGone()
  const opened = await sessions.open(clientId, packet.cleanStart, terms.expiryInterval, isGone)
  if (opened === undefined) return undefined
  const client = new ConnectedClient(layer, connection, terms, opened.session, opened.stored, engineClient)
  sessions.hold(client)
  engine.attach(engineClient)
  // From here on the end of the connection releases the session.
  connection.established(client)
  if (terms.will !== undefined) {
    await wills.register(clientId, terms.will.message, terms.will.delayInterval)
    client.will = terms.will
  } else if (wills.isDelayed(clientId)) {
    await wills.discard(clientId)
  }
  if (opened.present) await dropDeniedSubscriptions(client, layer)
  if (connection.isGone()) {
    // It ended before there was anything to release, or is about to: the lock is ours now.
    await connection.release()
    return undefined
  }

  const keepAlive = keepAliveSeconds(packet, layer)
  if (keepAlive > 0) {
    const silence = () => {
      engine.events.keepAliveTimeout(engineClient)
      connection.end('keep_alive_timeout', ReasonCode.KeepAliveTimeout)
    }
    client.keepAlive = new KeepAlive(layer.wheel, clock, keepAlive * 1500, silence, () => connection.held)
  }
  client.limitAuthorization(principal)
  client.send(
    encodeConnAck(
      {
        sessionPresent: opened.present,
        reasonCode: ReasonCode.Success,
        properties: connAckProperties(packet, terms, keepAlive, layer),
      },
      packet.version,
      terms,
    ),
  )
  if (connection.isGone()) {
    // The client takes no packet as large as its CONNACK.
    await connection.release()
    return undefined
  }
  // Deliveries begin behind the CONNACK [MQTT-3.2.0-1]; what came meanwhile is in the queue.
  client.session.attach(client)
  engine.events.connackSent(engineClient, 0, opened.present)
  events.connected(connection.info, clientId, {
    version: packet.version,
    cleanStart: packet.cleanStart,
    sessionPresent: opened.present,
    username: principal.username,
    grantedBy: principal.grantedBy,
    keepAliveSeconds: keepAlive,
  })
  client.announced = true
  engine.events.clientReady(engineClient)
  client.deliveries.resume()
  return client
}

/** The client identifier, assigned when the client leaves that to us (MQTT 5, 3.1.3.1). */
function identify(packet: ConnectPacket, layer: SessionLayer): string | Refusal {
  const { clientId, version, cleanStart } = packet
  const invalid: Refusal = { reasonCode: ReasonCode.ClientIdentifierNotValid, reason: 'client_id_invalid' }
  if (clientId === '') {
    // MQTT 3.1 knows no empty identifier; 3.1.1 only with Clean Session 1 [MQTT-3.1.3-8 of 3.1.1].
    if (version === 3 || (version === 4 && !cleanStart)) return invalid
    return layer.newClientId()
  }
  if (version === 3 && layer.limits.strictClientIds && Array.from(clientId).length > 23) return invalid
  if (Buffer.byteLength(clientId) > layer.limits.clientIdBytes) return invalid
  return clientId
}

async function authenticate(
  connection: ConnectingConnection,
  packet: ConnectPacket,
  clientId: string,
  engineClient: EngineClient,
  layer: SessionLayer,
): Promise<Identity | Refusal | undefined> {
  const { hooks } = layer.engine
  if (hooks.preConnect !== undefined) {
    const { cleanStart: clean, keepAlive, username, version } = packet
    const admitted = await hooks.preConnect(engineClient, { clientId, clean, keepAlive, username, version })
    if (!admitted) return { reasonCode: ReasonCode.NotAuthorized, reason: 'not_authorized' }
  }
  if (packet.authenticationMethod !== undefined) {
    return authenticateInSteps(connection, packet, packet.authenticationMethod, layer)
  }
  if (hooks.authenticate !== undefined) return askProgram(hooks.authenticate, packet, engineClient)
  const { info } = connection
  const decision = await layer.authentication.decide({
    clientId,
    username: packet.username,
    password: packet.password,
    bearerToken: info.bearerToken,
    certificateName: info.certificateName,
    remoteAddress: info.remoteAddress,
    loopback: info.loopback,
    listener: info.listener,
  })
  if (decision.kind === 'refused')
    return { reasonCode: refusalCode(decision.reason), reason: decision.reason }
  return { principal: decision.principal, authenticationData: undefined }
}

/** A program that decides itself, by Aedes' `authenticate` hook, takes the place of the chain of authenticators. */
async function askProgram(
  authenticate: NonNullable<EngineHooks['authenticate']>,
  { username, password }: ConnectPacket,
  engineClient: EngineClient,
): Promise<Identity | Refusal> {
  const verdict = await authenticate(engineClient, username, password)
  if (!verdict.granted) return { reasonCode: hookRefusalCode(verdict.returnCode), reason: 'not_authorized' }
  const principal = { username, roles: [], claims: {}, expiresAt: undefined, grantedBy: 'hook' }
  return { principal, authenticationData: undefined }
}

/** Enhanced authentication takes the place of the chain of authenticators [MQTT-4.12.0-1]. */
async function authenticateInSteps(
  connection: ConnectingConnection,
  packet: ConnectPacket,
  method: string,
  layer: SessionLayer,
): Promise<Identity | Refusal | undefined> {
  const mechanism = layer.enhancedAuthentication.mechanism(method)
  if (mechanism === undefined) {
    return { reasonCode: ReasonCode.BadAuthenticationMethod, reason: 'bad_credentials' }
  }
  const { username, authenticationData } = packet
  const exchange = mechanism.begin({ clientId: connection.clientId, username, current: undefined })
  const outcome = await connection.authenticateInSteps(method, exchange, authenticationData)
  if (outcome === undefined) return undefined
  if (outcome.kind === 'refused') return { reasonCode: refusalCode(outcome.reason), reason: outcome.reason }
  return { principal: outcome.principal, authenticationData: outcome.data }
}

function refusalCode(reason: RefusalReason): number {
  switch (reason) {
    case 'no_credentials':
    case 'client_id_mismatch':
      return ReasonCode.NotAuthorized
    case 'authenticator_timeout':
    case 'authenticator_failed':
      return ReasonCode.ServerUnavailable
    case 'server_busy':
      return ReasonCode.ServerBusy
    default:
      return ReasonCode.BadUserNameOrPassword
  }
}

/** The CONNACK return codes of MQTT 3.1.1 (table 3.1) that a hook names, as reason codes. */
function hookRefusalCode(returnCode: number): number {
  const codes = [
    ReasonCode.UnsupportedProtocolVersion,
    ReasonCode.ClientIdentifierNotValid,
    ReasonCode.ServerUnavailable,
    ReasonCode.BadUserNameOrPassword,
    ReasonCode.NotAuthorized,
  ]
  return codes[returnCode - 1] ?? ReasonCode.NotAuthorized
}

function willMessage(will: WillFields, clientId: string, now: number): Message {
  return new Message({
    topic: will.topic,
    payload: will.payload,
    qos: will.qos,
    retain: will.retain,
    properties: will.properties,
    publisherId: clientId,
    receivedAt: now,
    expiresAt: will.messageExpiryInterval === undefined ? undefined : now + will.messageExpiryInterval * 1000,
  })
}

/** Seconds; a session of MQTT 3.1.1 with Clean Session 0 lasts as long as the setting lets it. */
function expiryInterval(packet: ConnectPacket, layer: SessionLayer): number {
  const wanted = packet.version === 5 ? (packet.sessionExpiryInterval ?? 0) : packet.cleanStart ? 0 : NEVER
  return Math.min(wanted, layer.limits.sessionExpiryMaximumSeconds)
}

function keepAliveSeconds(packet: ConnectPacket, layer: SessionLayer): number {
  const maximum = layer.limits.keepAliveMaximumSeconds
  if (maximum === 0) return packet.keepAlive
  // MQTT 3.1.1 has no way to be told another value: what it asked for holds.
  if (packet.version !== 5) return packet.keepAlive
  return packet.keepAlive === 0 ? maximum : Math.min(packet.keepAlive, maximum)
}

function connAckProperties(
  packet: ConnectPacket,
  terms: ClientTerms,
  keepAlive: number,
  layer: SessionLayer,
): ConnAckProperties {
  const { limits, settings } = layer
  const responseInformation = packet.requestResponseInformation ? settings.responseInformation : undefined
  return {
    receiveMaximum: limits.receiveMaximum,
    maximumPacketSize: limits.packetSize,
    topicAliasMaximum: limits.topicAliasMaximum,
    ...(terms.expiryInterval !== (packet.sessionExpiryInterval ?? 0) && {
      sessionExpiryInterval: terms.expiryInterval,
    }),
    ...(keepAlive !== packet.keepAlive && { serverKeepAlive: keepAlive }),
    ...(packet.clientId === '' && { assignedClientIdentifier: terms.clientId }),
    ...(terms.authenticationMethod !== undefined && { authenticationMethod: terms.authenticationMethod }),
    ...(terms.authenticationData !== undefined && { authenticationData: terms.authenticationData }),
    ...(responseInformation !== undefined && {
      responseInformation: responseInformation.replaceAll('${clientId}', terms.clientId),
    }),
  }
}

function topicLimits({ limits }: SessionLayer) {
  return { maxLevels: limits.topicLevels, maxBytes: limits.topicBytes }
}
