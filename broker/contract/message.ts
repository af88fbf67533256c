export type QoS = 0 | 1 | 2

/** User properties keep their order and may repeat a name [MQTT-3.3.2-17]. */
export type UserProperties = readonly (readonly [name: string, value: string])[]

/** The properties of a PUBLISH that travel from publisher to subscriber (MQTT 5, 3.3.2.3). */
export interface PublishProperties {
  readonly payloadFormat?: 0 | 1
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Buffer
  readonly userProperties?: UserProperties
}

/** What it takes to make a message. */
export interface MessageFields {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  readonly properties?: PublishProperties | undefined
  /** Client identifier of the publisher; undefined when the gateway itself publishes. */
  readonly publisherId?: string | undefined
  /** Milliseconds since the epoch. */
  readonly receivedAt: number
  /** Milliseconds since the epoch; undefined: never (MQTT 5 Message Expiry Interval). */
  readonly expiresAt?: number | undefined
}

/**
 * A message on its way through the gateway: the envelope that every step reads.
 *
 * A class with all fields set in the constructor, so that every message has one hidden class on the hot path.
 * `payload` of a QoS 0 message may be a view of the buffer that all sockets read into: whoever keeps a message
 * past the call in which it got it calls `own()` first.
 */
export class Message {
  readonly topic: string
  payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: PublishProperties | undefined
  readonly publisherId: string | undefined
  readonly receivedAt: number
  readonly expiresAt: number | undefined

  /**
   * PUBLISH packets already encoded for this message, one slot per wire version and retain flag. Written and
   * read by `wire/publish-encoder` only; one encode serves every subscriber.
   */
  encoded: (Buffer | undefined)[] | undefined = undefined

  private owned = false
  private copy: Message | undefined = undefined

  constructor(fields: MessageFields) {
    this.topic = fields.topic
    this.payload = fields.payload
    this.qos = fields.qos
    this.retain = fields.retain
    this.properties = fields.properties
    this.publisherId = fields.publisherId
    this.receivedAt = fields.receivedAt
    this.expiresAt = fields.expiresAt
  }

  /** Detaches the payload from the read buffer it is a view of. Returns the message itself. */
  own(): this {
    if (!this.owned) {
      this.owned = true
      // A payload that fills its memory (a decoder's copy, a program's own buffer) is already its own.
      if (this.payload.length !== this.payload.buffer.byteLength) this.payload = Buffer.from(this.payload)
    }
    return this
  }

  /**
   * The message for whoever keeps it in a queue or as retained: the same for all of them, with memory of its own,
   * and without the packets that are encoded for deliveries under way, which can be several times its size.
   */
  kept(): Message {
    if (this.copy === undefined) {
      this.copy = new Message(this.own())
      this.copy.owned = true
      this.copy.copy = this.copy
    }
    return this.copy
  }

  /** Whether the message must not be delivered any more [MQTT-3.3.2-5]. */
  expired(now: number): boolean {
    return this.expiresAt !== undefined && this.expiresAt <= now
  }
}
