import type { Registry } from 'prom-client'
import type { HandshakeRefusal, TransportEvents } from '../contract/events.js'
import type { CloseCause, ConnectionInfo } from '../contract/transport.js'
import { counter, labeledCounter, labeledGauge, type Cell } from './cells.js'
import { connectionFields, errorFields, type EventLog } from './event-log.js'
import { closeCauses, handshakeRefusals } from './labels.js'
import type { MessageDrops } from './message-drops.js'
import { printable } from './printable.js'

export class TransportTelemetry implements TransportEvents {
  private readonly connections: Readonly<Record<string, Cell>>
  private readonly opened: Readonly<Record<string, Cell>>
  private readonly refused: Readonly<Record<HandshakeRefusal, Cell>>
  private readonly closed: Readonly<Record<CloseCause, Cell>>
  private readonly received: Cell
  private readonly sent: Cell
  private readonly droppedBytes: Cell
  private readonly handlerFailures: Cell
  private readonly acceptFailures: Cell

  constructor(
    registry: Registry,
    private readonly log: EventLog,
    private readonly drops: MessageDrops,
    listeners: readonly string[],
  ) {
    this.connections = labeledGauge(registry, {
      name: 'connections',
      help: 'Open connections, before and after CONNECT.',
      label: 'listener',
      values: listeners,
    })
    this.opened = labeledCounter(registry, {
      name: 'connections_opened_total',
      help: 'Connections that passed handshake and admission.',
      label: 'listener',
      values: listeners,
    })
    this.refused = labeledCounter(registry, {
      name: 'connections_refused_total',
      help: 'Connections refused in the handshake or by admission, before any MQTT packet.',
      label: 'reason',
      values: handshakeRefusals,
    })
    this.closed = labeledCounter(registry, {
      name: 'connections_closed_total',
      help: 'Connections that ended, by cause.',
      label: 'cause',
      values: closeCauses,
    })
    this.received = counter(registry, {
      name: 'bytes_received_total',
      help: 'Bytes read from connections.',
    })
    this.sent = counter(registry, { name: 'bytes_sent_total', help: 'Bytes written to connections.' })
    this.droppedBytes = counter(registry, {
      name: 'outbox_dropped_bytes_total',
      help: 'Bytes of QoS 0 messages dropped because the receiver is slow.',
    })
    this.handlerFailures = counter(registry, {
      name: 'connection_defects_total',
      help: 'Connections closed because of a defect of the gateway.',
    })
    this.acceptFailures = counter(registry, {
      name: 'accept_failures_total',
      help: 'Times that a listener could not accept a connection (as a rule: too few file descriptors).',
    })
  }

  /** For the `$SYS` tree. */
  totals() {
    const connections = Object.values(this.opened).reduce((sum, { count }) => sum + count, 0)
    return { bytesReceived: this.received.count, bytesSent: this.sent.count, connections }
  }

  listening(listener: string, address: string): void {
    this.log.info('listening', listener, { listener, address }, `listener ${listener} at ${address}`)
  }

  connectionOpened(info: ConnectionInfo): void {
    add(this.connections[info.listener], 1)
    add(this.opened[info.listener], 1)
    this.log.debug('connection_opened', () => connectionFields(info), 'connection opened')
  }

  connectionRefused(listener: string, remoteAddress: string, reason: HandshakeRefusal): void {
    this.refused[reason].count++
    const remote = printable(remoteAddress)
    this.log.warn('connection_refused', remote, { listener, remote, reason }, `connection refused: ${reason}`)
  }

  connectionClosed(info: ConnectionInfo, cause: CloseCause): void {
    add(this.connections[info.listener], -1)
    this.closed[cause].count++
    this.log.debug('connection_closed', () => ({ ...connectionFields(info), cause }), 'connection closed')
  }

  bytesReceived(count: number): void {
    this.received.count += count
  }

  bytesSent(count: number): void {
    this.sent.count += count
  }

  outboxDropped(info: ConnectionInfo, messages: number, bytes: number): void {
    this.drops.add('slow_receiver', messages)
    this.droppedBytes.count += bytes
    this.log.warn(
      'outbox_dropped',
      String(info.connectionId),
      { ...connectionFields(info), messages, bytes },
      'QoS 0 messages dropped: the receiver is slow',
    )
  }

  handlerFailed(info: ConnectionInfo, error: unknown): void {
    this.handlerFailures.count++
    const stack = error instanceof Error ? error.stack : undefined
    this.log.error(
      'handler_failed',
      info.listener,
      { ...connectionFields(info), ...errorFields(error), stack },
      'connection closed because of a defect',
    )
  }

  acceptFailed(listener: string, error: Error): void {
    this.acceptFailures.count++
    this.log.error(
      'accept_failed',
      listener,
      { listener, ...errorFields(error) },
      `listener ${listener} could not accept a connection`,
    )
  }
}

/** Listeners are known from the configuration; the lookup by name cannot know that. */
function add(cell: Cell | undefined, count: number): void {
  if (cell !== undefined) cell.count += count
}
