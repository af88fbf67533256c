import mqtt from 'mqtt'
import type { IClientOptions, MqttClient } from 'mqtt'
import { openSocket, type BrokerAddress } from './socket.js'

export interface LinkOptions {
  readonly address: BrokerAddress
  readonly clientId: string
  readonly username: string | undefined
  readonly password: string | undefined
  readonly protocolVersion: 4 | 5
  readonly keepAliveSeconds: number
  /** Topic with retained `online` / `offline`; undefined: none, and no will. */
  readonly statusTopic: string | undefined
}

export interface LinkHandler {
  connected(): void
  /** The connection, or the attempt at one, is over. Called once for each `open`. */
  lost(reason: LostReason): void
}

export interface LostReason {
  /** What kept the connection from coming about or ended it; undefined: the peer just closed it. */
  readonly error: Error | undefined
  /** Reason code of CONNACK or of the broker's DISCONNECT. */
  readonly reasonCode: number | undefined
}

/** MQTT 5: Session taken over. */
export const SESSION_TAKEN_OVER = 0x8e

/** Longest time for connection and CONNACK. */
const CONNECT_TIMEOUT_MS = 15_000

/** mqtt.js's own reconnects never come: the fleet decides when. 0 would make it give up what is in flight. */
const NEVER_MS = 2 ** 31 - 1

/**
 * The MQTT connection of a device, opened as often as needed. QoS 1 and 2 messages under way when it is lost are
 * sent again after the next `open`.
 */
export class Link {
  private readonly client: MqttClient
  private opened = false
  private lastError: Error | undefined
  private reasonCode: number | undefined

  constructor(
    private readonly options: LinkOptions,
    handler: LinkHandler,
  ) {
    this.client = new mqtt.MqttClient(() => this.stream(), clientOptions(options))
    this.client.on('connect', () => {
      const { statusTopic } = options
      // QoS 0: a connection that is lost right away leaves nothing behind to be sent again.
      if (statusTopic !== undefined) this.client.publish(statusTopic, 'online', { qos: 0, retain: true })
      handler.connected()
    })
    this.client.on('disconnect', (packet) => {
      this.reasonCode = packet.reasonCode
    })
    this.client.on('error', (error) => this.failed(error))
    this.client.on('close', () => {
      const reason = { error: this.lastError, reasonCode: this.reasonCode }
      this.lastError = undefined
      this.reasonCode = undefined
      handler.lost(reason)
    })
  }

  open(): void {
    this.opened = true
    this.client.connect()
  }

  /** `done` when it is acknowledged (QoS 0: written), or with what went wrong. */
  publish(topic: string, payload: string | Buffer, qos: 0 | 1 | 2, done: (error?: Error) => void): void {
    this.client.publish(topic, payload, { qos }, (error) => done(error ?? undefined))
  }

  /** Cuts the connection without DISCONNECT. */
  cut(): void {
    if (this.opened) this.client.stream.destroy()
  }

  /**
   * Waits for acknowledgements, sets the status to `offline`, says DISCONNECT and waits for the end of the
   * connection. Takes as long as the broker does: the caller bounds it, and cuts.
   */
  async close(): Promise<void> {
    if (!this.opened) return
    const { statusTopic } = this.options
    if (this.client.connected && statusTopic !== undefined) {
      await new Promise<void>((resolve) => {
        // Refused by an access rule, or lost with the connection: then the will has the last word.
        this.client.publish(statusTopic, 'offline', { qos: 1, retain: true }, () => resolve())
      })
    }
    await this.client.endAsync(!this.client.connected)
  }

  private stream(): ReturnType<typeof openSocket> {
    const stream = openSocket(this.options.address)
    // mqtt.js keeps errors without a code to itself, such as a refused WebSocket handshake.
    stream.on('error', (error) => this.failed(error))
    return stream
  }

  private failed(error: Error & { code?: unknown }): void {
    this.lastError ??= error
    if (typeof error.code === 'number') this.reasonCode ??= error.code
  }
}

function clientOptions(options: LinkOptions): IClientOptions {
  return {
    manualConnect: true,
    reconnectPeriod: NEVER_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    protocolVersion: options.protocolVersion,
    clientId: options.clientId,
    clean: true,
    keepalive: options.keepAliveSeconds,
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.password === undefined ? {} : { password: options.password }),
    ...(options.statusTopic === undefined
      ? {}
      : { will: { topic: options.statusTopic, payload: Buffer.from('offline'), qos: 1, retain: true } }),
  }
}
