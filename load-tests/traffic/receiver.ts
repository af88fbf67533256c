import type { Connection, ConnectionHandler } from '../client/connection.js'
import { readMicros, readPublisher, readSequence } from '../client/message-template.js'
import { PUBACK, PUBCOMP, PUBREC, PUBREL } from '../client/packet-reader.js'
import { SequenceCheck } from '../measure/sequence-check.js'

export interface ReceiverEvents {
  /** `first`: it has not come before. */
  delivered(publisher: number, sequence: number, sentMicros: number, first: boolean): void
  lost(): void
}

/** Takes messages, acknowledges them, and checks their numbers. */
export class Receiver implements ConnectionHandler {
  readonly check: SequenceCheck

  constructor(
    readonly connection: Connection,
    /** Publishers whose messages it gets. */
    readonly streams: { readonly first: number; readonly count: number },
    private readonly observer: ReceiverEvents,
  ) {
    this.check = new SequenceCheck(streams.count)
    connection.handler = this
  }

  publish(bytes: Buffer, payload: number, _end: number, qos: number, packetId: number): void {
    const publisher = readPublisher(bytes, payload)
    const sequence = readSequence(bytes, payload)
    const first = this.check.take(publisher - this.streams.first, sequence)
    this.observer.delivered(publisher, sequence, readMicros(bytes, payload), first)
    if (qos > 0) this.connection.sendAcknowledgement(qos === 1 ? PUBACK : PUBREC, packetId)
  }

  acknowledgement(type: number, packetId: number): void {
    if (type === PUBREL) this.connection.sendAcknowledgement(PUBCOMP, packetId)
  }

  lost(): void {
    this.observer.lost()
  }
}
