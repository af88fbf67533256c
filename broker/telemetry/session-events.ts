import type { Registry } from 'prom-client'
import type { ConnectedDetails, ConnectRefusal, DropReason, SessionEvents } from '../contract/events.js'
import type { QoS } from '../contract/message.js'
import type { CloseCause, ConnectionInfo } from '../contract/transport.js'
import { counter, gauge, labeledCounter, type Cell } from './cells.js'
import { connectionFields, type EventLog, type Fields } from './event-log.js'
import { connectRefusals } from './labels.js'
import type { MessageDrops } from './message-drops.js'
import { printable } from './printable.js'

type ByQos = readonly [Cell, Cell, Cell]

export class SessionTelemetry implements SessionEvents {
  private clients = 0
  private readonly accepted: Readonly<Record<ProtocolName, Cell>>
  private readonly refused: Readonly<Record<ConnectRefusal, Cell>>
  private readonly violations: Cell
  private readonly received: ByQos
  private readonly receivedBytes: ByQos
  private readonly sent: ByQos
  private readonly sentBytes: ByQos
  private readonly expired: Cell
  private readonly wills: Cell
  private readonly takeovers: Readonly<Record<'yes' | 'no', Cell>>
  private readonly subscribes: Cell
  private readonly unsubscribes: Cell

  constructor(
    registry: Registry,
    private readonly log: EventLog,
    private readonly drops: MessageDrops,
  ) {
    gauge(
      registry,
      { name: 'clients', help: 'Clients whose CONNECT was accepted and that are still connected.' },
      () => this.clients,
    )
    this.accepted = labeledCounter(registry, {
      name: 'connects_accepted_total',
      help: 'CONNECT packets accepted, by protocol version.',
      label: 'version',
      values: protocolNames,
    })
    this.refused = labeledCounter(registry, {
      name: 'connects_refused_total',
      help: 'CONNECT packets refused, by reason.',
      label: 'reason',
      values: connectRefusals,
    })
    this.violations = counter(registry, {
      name: 'protocol_violations_total',
      help: 'Connections ended because of a packet against the specification.',
    })
    this.received = byQos(registry, 'messages_received_total', 'PUBLISH packets received, by QoS.')
    this.receivedBytes = byQos(
      registry,
      'message_bytes_received_total',
      'Payload bytes of PUBLISH packets received, by QoS.',
    )
    this.sent = byQos(registry, 'messages_sent_total', 'PUBLISH packets sent, by QoS.')
    this.sentBytes = byQos(
      registry,
      'message_bytes_sent_total',
      'Payload bytes of PUBLISH packets sent, by QoS.',
    )
    this.expired = counter(registry, { name: 'sessions_expired_total', help: 'Sessions that expired.' })
    this.wills = counter(registry, { name: 'wills_published_total', help: 'Will messages published.' })
    this.takeovers = labeledCounter(registry, {
      name: 'node_takeovers_total',
      help: 'Clients that connected here and were connected to another node, by whether that let go of them in time.',
      label: 'answered',
      values: ['yes', 'no'],
    })
    this.subscribes = counter(registry, { name: 'subscribes_total', help: 'Subscriptions made.' })
    this.unsubscribes = counter(registry, {
      name: 'unsubscribes_total',
      help: 'Subscriptions ended by clients.',
    })
  }

  /** For the `$SYS` tree. */
  totals() {
    return {
      clientsConnected: this.clients,
      publishReceived: sum(this.received),
      publishSent: sum(this.sent),
      publishBytesReceived: sum(this.receivedBytes),
      publishBytesSent: sum(this.sentBytes),
      sessionsExpired: this.expired.count,
    }
  }

  connected(info: ConnectionInfo, clientId: string, details: ConnectedDetails): void {
    this.clients++
    this.accepted[protocolName(details.version)].count++
    this.log.info(
      'client_connected',
      clientId,
      {
        ...clientFields(info, clientId),
        version: protocolName(details.version),
        cleanStart: details.cleanStart,
        sessionPresent: details.sessionPresent,
        keepAlive: details.keepAliveSeconds,
        grantedBy: details.grantedBy,
        ...(details.username === undefined ? {} : { username: printable(details.username) }),
      },
      'client connected',
    )
  }

  connectRefused(info: ConnectionInfo, clientId: string | undefined, reason: ConnectRefusal): void {
    this.refused[reason].count++
    this.log.warn(
      'connect_refused',
      info.remoteAddress,
      { ...clientFields(info, clientId), reason },
      `client refused: ${reason}`,
    )
  }

  disconnected(info: ConnectionInfo, clientId: string, cause: CloseCause): void {
    this.clients--
    this.log.info(
      'client_disconnected',
      clientId,
      { ...clientFields(info, clientId), cause },
      `client disconnected: ${cause}`,
    )
  }

  protocolViolation(info: ConnectionInfo, clientId: string | undefined, rule: string, detail: string): void {
    this.violations.count++
    this.log.warn(
      'protocol_violation',
      info.remoteAddress,
      { ...clientFields(info, clientId), rule, detail: printable(detail) },
      `packet against the specification: ${rule}`,
    )
  }

  messageReceived(qos: QoS, bytes: number): void {
    this.received[qos].count++
    this.receivedBytes[qos].count += bytes
  }

  messageSent(qos: QoS, bytes: number): void {
    this.sent[qos].count++
    this.sentBytes[qos].count += bytes
  }

  messageDropped(reason: DropReason, clientId: string | undefined, count: number): void {
    this.drops.add(reason, count)
    const fields = (): Fields => ({
      client: clientId === undefined ? undefined : printable(clientId),
      reason,
      count,
    })
    const text = `messages dropped: ${reason}`
    if (ORDINARY_DROPS.has(reason)) this.log.debug('message_dropped', fields, text)
    else this.log.warn(`message_dropped_${reason}`, clientId ?? '', fields(), text)
  }

  sessionExpired(clientId: string): void {
    this.expired.count++
    this.log.info('session_expired', clientId, { client: printable(clientId) }, 'session expired')
  }

  clientTakenOver(clientId: string, from: string, answered: boolean): void {
    this.takeovers[answered ? 'yes' : 'no'].count++
    this.log.info(
      'client_taken_over',
      clientId,
      { client: printable(clientId), from, answered },
      'a client has come here from another node',
    )
  }

  willPublished(clientId: string): void {
    this.wills.count++
    this.log.info('will_published', clientId, { client: printable(clientId) }, 'will published')
  }

  subscribed(clientId: string, filter: string, granted: number): void {
    this.subscribes.count++
    this.log.debug(
      'subscribed',
      () => ({ client: printable(clientId), filter: printable(filter), granted }),
      'subscribed',
    )
  }

  unsubscribed(clientId: string, filter: string): void {
    this.unsubscribes.count++
    this.log.debug(
      'unsubscribed',
      () => ({ client: printable(clientId), filter: printable(filter) }),
      'unsubscribed',
    )
  }
}

/** As the publisher, the subscriber or the rules wanted it. */
const ORDINARY_DROPS: ReadonlySet<DropReason> = new Set(['expired', 'session_ended', 'receive_denied'])

const protocolNames = ['3.1', '3.1.1', '5'] as const
type ProtocolName = (typeof protocolNames)[number]

function protocolName(level: ConnectedDetails['version']): ProtocolName {
  return level === 3 ? '3.1' : level === 4 ? '3.1.1' : '5'
}

function sum(cells: ByQos): number {
  return cells[0].count + cells[1].count + cells[2].count
}

function byQos(registry: Registry, name: string, help: string): ByQos {
  const cells = labeledCounter(registry, { name, help, label: 'qos', values: ['0', '1', '2'] })
  return [cells[0], cells[1], cells[2]]
}

function clientFields(info: ConnectionInfo, clientId: string | undefined): Fields {
  return { ...connectionFields(info), client: clientId === undefined ? undefined : printable(clientId) }
}
