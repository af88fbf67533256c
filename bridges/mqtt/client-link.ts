import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import type { Clock, Timer } from '../../broker/contract/clock.js'
import { Rejected, Retryable, type BrokerTarget } from '../../broker/contract/connector.js'
import type { BrokerLink, Inflow, OutboundMessage, SubscribeOptions } from '../../broker/contract/port.js'
import { Backoff } from '../runtime/backoff.js'
import { ClientInflow } from './client-inflow.js'

export interface ClientLinkServices {
  readonly clock: Clock
  readonly random: () => number
}

/** A session that waits for a bridge that is away is given up after a day. */
const SESSION_EXPIRY_SECONDS = 86_400
const RECONNECT = { firstMs: 500, longestMs: 30_000 }
/** Mosquitto lets 20 QoS 1 messages of an MQTT 3.1.1 client be under way, EMQX 32: what is safe with all of them. */
const DEFAULT_MAX_UNSETTLED = 20

/**
 * A link to any MQTT broker: its own connection, MQTT 5 where the broker speaks it, else 3.1.1, reconnected with
 * growing delays. A QoS 1 subscription has a persistent session, so that the broker keeps what comes meanwhile.
 */
export class ClientLink implements BrokerLink {
  private client: MqttClient | undefined
  private version: 4 | 5 = 5
  private inflow: ClientInflow | undefined
  private subscribed = false
  private reconnect: Timer | undefined
  private readonly backoff: Backoff
  private closed = false
  private underWay = 0
  /** Why there is no connection, for those who ask. */
  private fault: Error = new Retryable('not connected yet')
  private readonly connectionWaits = new Set<(error: Error | undefined) => void>()

  /** `clientId` is used where the target has none. */
  constructor(
    private readonly target: BrokerTarget,
    private readonly clientId: string,
    private readonly services: ClientLinkServices,
  ) {
    this.backoff = new Backoff(RECONNECT, services.random)
  }

  async subscribe(filter: string, options: SubscribeOptions): Promise<Inflow> {
    this.inflow ??= new ClientInflow(options.maxUnsettled ?? DEFAULT_MAX_UNSETTLED, this.services.clock)
    const client = this.connected(options.qos === 1)
    if (!client.connected) await this.connection()
    if (!this.subscribed) {
      // `rh` and `nl` are of MQTT 5: no retained messages of the past, none of our own.
      const granted = await (this.client ?? client)
        .subscribeAsync(filter, { qos: options.qos, rh: 2, nl: true })
        .catch((error: unknown) => {
          throw new Retryable(`the broker refused the subscription: ${(error as Error).message}`, error)
        })
      if (granted.some(({ qos }) => qos >= 0x80))
        throw new Retryable(`the broker refused the subscription to ${filter}`)
      this.subscribed = true
    }
    return this.inflow
  }

  async publish(messages: readonly OutboundMessage[]): Promise<void> {
    if (this.closed) throw new Retryable('the link is closed')
    const client = this.connected(false)
    if (!client.connected) await this.connection()
    this.underWay++
    try {
      const outcomes = await Promise.allSettled(
        messages.map(({ topic, payload, qos, retain }) =>
          (this.client ?? client).publishAsync(topic, viewOf(payload), { qos, retain }),
        ),
      )
      const failure = outcomes.find((outcome) => outcome.status === 'rejected')
      if (failure !== undefined) throw publishFault(failure.reason)
    } finally {
      this.underWay--
    }
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.reconnect?.cancel()
    this.inflow?.close()
    this.settleWaits(new Retryable('the link is closed'))
    const client = this.client
    if (client === undefined) return
    // In order only when nothing is under way: else it would wait for acknowledgements that may never come.
    await client.endAsync(!client.connected || this.underWay > 0)
  }

  private connected(persistent: boolean): MqttClient {
    return (this.client ??= this.connect(persistent))
  }

  private connect(persistent: boolean): MqttClient {
    const { url, username, password, clientId = this.clientId } = this.target
    const options: IClientOptions = {
      clientId,
      clean: !persistent,
      protocolVersion: this.version,
      // Reconnecting is ours: growing, jittered delays on the clock that was passed in.
      reconnectPeriod: 0,
      connectTimeout: 10_000,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(persistent && this.version === 5
        ? { properties: { sessionExpiryInterval: SESSION_EXPIRY_SECONDS } }
        : {}),
    }
    const client = mqtt.connect(url, options)
    // A QoS 1 message whose callback gets an error is not acknowledged by the library; `ClientInflow` does that when
    // the message is settled.
    client.handleMessage = (packet, callback) => {
      const deferred = this.inflow?.arrived(packet, callback) ?? false
      if (!deferred) callback()
    }
    client.on('connect', ({ sessionPresent }) => {
      this.backoff.reset()
      this.inflow?.connected((bytes) => client.stream.write(bytes), sessionPresent)
      this.settleWaits(undefined)
    })
    client.on('error', (error) => {
      this.fault = new Retryable(`${safeUrl(url)}: ${error.message}`, error)
      if (this.version === 5 && !client.connected && speaksOlder(error)) this.downgrade(client, persistent)
    })
    client.on('close', () => {
      if (this.client !== client) return
      this.inflow?.disconnected()
      this.settleWaits(this.fault)
      this.scheduleReconnect(client)
    })
    return client
  }

  /** The broker does not know MQTT 5. */
  private downgrade(client: MqttClient, persistent: boolean): void {
    this.version = 4
    this.client = undefined
    client.end(true)
    if (!this.closed) this.client = this.connect(persistent)
  }

  private scheduleReconnect(client: MqttClient): void {
    if (this.closed) return
    this.reconnect?.cancel()
    this.reconnect = this.services.clock.schedule(this.backoff.next(), () => {
      this.fault = new Retryable(`${safeUrl(this.target.url)}: not connected`)
      client.reconnect()
    })
  }

  /** Resolves with the next connection, rejects with the next failure to make one. */
  private connection(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: Error | undefined): void => {
        this.connectionWaits.delete(settle)
        if (error === undefined) resolve()
        else reject(error)
      }
      if (this.closed) settle(new Retryable('the link is closed'))
      else this.connectionWaits.add(settle)
    })
  }

  private settleWaits(error: Error | undefined): void {
    for (const settle of this.connectionWaits) settle(error)
  }
}

/** Reason codes (MQTT 5, 2.4) after which the same message would fail again. */
const REFUSALS: ReadonlySet<number> = new Set([
  0x87, // Not authorized
  0x90, // Topic Name invalid
  0x95, // Packet too large
  0x99, // Payload format invalid
  0x9a, // Retain not supported
  0x9b, // QoS not supported
])

function publishFault(error: unknown): Error {
  const { code, message } = error as { code?: unknown; message: string }
  if (typeof code === 'number' && REFUSALS.has(code))
    return new Rejected('refused', `the broker refused it: ${message}`)
  return new Retryable(`publishing failed: ${message}`, error)
}

/** CONNACK 0x01 of a 3.1.1 broker, 0x84 of one that knows MQTT 5 and does not want it. */
function speaksOlder(error: Error): boolean {
  const code = (error as { code?: unknown }).code
  return code === 1 || code === 0x84
}

/** Without the user information. */
function safeUrl(url: string): string {
  const { protocol, host } = new URL(url)
  return `${protocol}//${host}`
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
