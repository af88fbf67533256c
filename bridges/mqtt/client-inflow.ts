import type { Clock } from '../../broker/contract/clock.js'
import type { InboundMessage, Inflow } from '../../broker/contract/port.js'
import { InboundBuffer } from './inbound-buffer.js'

/** What has arrived and was not read; beyond it QoS 0 is dropped. */
const MAX_MESSAGES = 10_000
const MAX_BYTES = 8_388_608

interface Publish {
  readonly topic: string
  readonly payload: string | Buffer
  readonly qos: number
  readonly retain: boolean
  readonly messageId?: number
}

/** A QoS 1 message that the broker waits to have acknowledged. */
interface Unsettled {
  readonly token: number
  readonly packetId: number
  /** Connection that brought it last. Only there may it be acknowledged. */
  connection: number
  settled: boolean
}

/**
 * Messages of a subscription at some other broker, acknowledged by hand when they are settled.
 *
 * After a reconnect to the same session the broker sends again what was not acknowledged, with the same packet
 * identifiers [MQTT-4.4.0-1]. What is still on its way through the pipeline must not enter it a second time, so
 * unsettled packet identifiers are remembered (at most 65,535, there are no more) and recognised. The DUP flag is
 * not asked: some brokers leave it out.
 */
export class ClientInflow implements Inflow {
  dropped = 0

  private readonly buffer = new InboundBuffer(() => {
    const resume = this.resume
    this.resume = undefined
    resume?.()
  })
  private readonly unsettled = new Map<number, Unsettled>()
  private nextToken = 1
  private connection = 0
  private write: ((bytes: Buffer) => void) | undefined
  private resume: (() => void) | undefined
  private stopped = false

  constructor(
    readonly maxUnsettled: number,
    private readonly clock: Clock,
  ) {}

  read(): Promise<readonly InboundMessage[] | undefined> {
    return this.buffer.read()
  }

  settle(token: number): void {
    const acknowledged: number[] = []
    // In the order in which they came: the map keeps it.
    for (const entry of this.unsettled.values()) {
      if (entry.token > token) break
      entry.settled = true
      if (entry.connection === this.connection) acknowledged.push(entry.packetId)
    }
    this.acknowledge(acknowledged)
  }

  stop(): void {
    // The session stays subscribed: what comes from now on is for the next start.
    this.stopped = true
    this.buffer.end()
  }

  close(): void {
    this.stop()
    this.write = undefined
    this.resume = undefined
  }

  connected(write: (bytes: Buffer) => void, sessionPresent: boolean): void {
    this.connection++
    this.write = write
    // A new session knows nothing of the old one's messages.
    if (!sessionPresent) this.unsettled.clear()
  }

  disconnected(): void {
    this.write = undefined
  }

  /**
   * Takes a message in. True: `done` is called by us, with an error for QoS 1, which keeps the library from
   * acknowledging it.
   */
  arrived(packet: Publish, done: (error?: Error) => void): boolean {
    const { qos, messageId } = packet
    // Brokers before MQTT 5 send retained messages of the past with every subscription.
    if (packet.retain) return false
    if (qos !== 1 || messageId === undefined) {
      this.takeVolatile(packet)
      return false
    }
    const known = this.unsettled.get(messageId)
    if (known !== undefined && known.connection !== this.connection) this.again(known)
    else if (!this.stopped) {
      const token = this.nextToken++
      this.unsettled.set(messageId, {
        token,
        packetId: messageId,
        connection: this.connection,
        settled: false,
      })
      this.buffer.push(this.message(packet, token))
    }
    const proceed = (): void => {
      done(ACKNOWLEDGED_LATER)
    }
    // The broker bounds the number of these, not their size: reading goes on when there is room.
    if (this.buffer.bytes < MAX_BYTES) proceed()
    else this.resume = proceed
    return true
  }

  private takeVolatile(packet: Publish): void {
    if (this.stopped) return
    if (this.buffer.length >= MAX_MESSAGES || this.buffer.bytes >= MAX_BYTES) this.dropped++
    else this.buffer.push(this.message(packet, 0))
  }

  private again(known: Unsettled): void {
    known.connection = this.connection
    if (known.settled) this.acknowledge([known.packetId])
  }

  private message({ topic, payload }: Publish, token: number): InboundMessage {
    return {
      topic,
      payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
      token,
      receivedAt: this.clock.now(),
    }
  }

  /** In the order of the packets [MQTT-4.6.0-2], in one write. */
  private acknowledge(packetIds: readonly number[]): void {
    if (this.write === undefined || packetIds.length === 0) return
    for (const packetId of packetIds) this.unsettled.delete(packetId)
    // A PUBACK with Remaining Length 2 means success in every version (MQTT 5, 3.4.2.1).
    this.write(Buffer.concat(packetIds.map((id) => Buffer.from([0x40, 2, id >> 8, id & 0xff]))))
  }
}

const ACKNOWLEDGED_LATER = new Error('acknowledged when it is settled')
