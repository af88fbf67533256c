import net from 'node:net'
import tls from 'node:tls'
import mqttPacket, { type IConnectPacket, type Packet } from 'mqtt-packet'

/** Longest wait for a packet, in milliseconds: a failing test says what it waited for instead of hanging. */
const PATIENCE_MS = 10_000

export type ConnectOptions = Partial<Omit<IConnectPacket, 'cmd'>>

/**
 * An MQTT client that does nothing by itself: a test sends packets, or bytes, and looks at each packet that
 * comes back. Over plain TCP, with mqtt-packet as an independent codec.
 */
export class RawClient {
  private readonly received: Packet[] = []
  private readonly waiters: { accepts: (packet: Packet) => boolean; resolve: (packet: Packet) => void }[] = []
  private readonly parser
  private ended = false
  private readonly closed: Promise<void>
  private nextId = 1

  private constructor(
    readonly socket: net.Socket,
    readonly version: 3 | 4 | 5,
  ) {
    this.parser = mqttPacket.parser({ protocolVersion: version })
    this.parser.on('packet', (packet) => this.arrived(packet))
    socket.on('data', (bytes) => this.parser.parse(bytes))
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.ended = true
        resolve()
      })
    })
  }

  /** Opens a socket and sends nothing. */
  static async open(port: number, version: 3 | 4 | 5 = 5): Promise<RawClient> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RawClient(socket, version)
  }

  static overTls(socket: tls.TLSSocket, version: 3 | 4 | 5 = 5): RawClient {
    return new RawClient(socket, version)
  }

  /** Opens, connects and waits for a CONNACK, whatever it says. */
  static async connect(
    port: number,
    options: ConnectOptions = {},
  ): Promise<RawClient & { connack: ConnAck }> {
    const version = (options.protocolVersion ?? 5) as 3 | 4 | 5
    const client = await RawClient.open(port, version)
    client.sendConnect(options)
    const connack = (await client.next('connack')) as ConnAck
    return Object.assign(client, { connack })
  }

  sendConnect(options: ConnectOptions = {}): void {
    const version = options.protocolVersion ?? this.version
    this.send({
      cmd: 'connect',
      clientId: '',
      clean: true,
      keepalive: 0,
      ...options,
      protocolVersion: version,
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    } as IConnectPacket)
  }

  send(packet: Packet): void {
    this.write(mqttPacket.generate(packet, { protocolVersion: this.version }))
  }

  write(bytes: Buffer | number[]): void {
    this.socket.write(Buffer.from(bytes))
  }

  /** A packet identifier that this client has not used yet. */
  packetId(): number {
    return this.nextId++
  }

  publish(topic: string, payload: string | Buffer, options: Record<string, unknown> = {}): number {
    const qos = (options['qos'] ?? 0) as 0 | 1 | 2
    const messageId = qos > 0 ? ((options['messageId'] as number | undefined) ?? this.packetId()) : undefined
    this.send({
      cmd: 'publish',
      topic,
      payload,
      qos,
      retain: false,
      dup: false,
      ...options,
      messageId,
    } as Packet)
    return messageId ?? 0
  }

  /** Publishes and waits for the acknowledgement of the QoS; returns the first one (PUBACK or PUBREC). */
  async publishAcknowledged(
    topic: string,
    payload: string | Buffer,
    options: Record<string, unknown>,
  ): Promise<Ack> {
    const messageId = this.publish(topic, payload, options)
    if (options['qos'] === 1)
      return (await this.next('puback', (packet) => packet.messageId === messageId)) as Ack
    const pubrec = (await this.next('pubrec', (packet) => packet.messageId === messageId)) as Ack
    if ((pubrec.reasonCode ?? 0) >= 0x80) return pubrec
    this.send({ cmd: 'pubrel', messageId } as Packet)
    await this.next('pubcomp', (packet) => packet.messageId === messageId)
    return pubrec
  }

  /** Subscribes and waits for SUBACK; returns its codes. */
  async subscribe(
    subscriptions: string | readonly Record<string, unknown>[],
    qos: 0 | 1 | 2 = 0,
    properties?: Record<string, unknown>,
  ): Promise<number[]> {
    const messageId = this.packetId()
    const list = typeof subscriptions === 'string' ? [{ topic: subscriptions, qos }] : subscriptions
    this.send({
      cmd: 'subscribe',
      messageId,
      subscriptions: list,
      ...(properties && { properties }),
    } as unknown as Packet)
    const suback = await this.next('suback', (packet) => packet.messageId === messageId)
    return (suback as unknown as { granted: number[] }).granted
  }

  async unsubscribe(...unsubscriptions: string[]): Promise<number[]> {
    const messageId = this.packetId()
    this.send({ cmd: 'unsubscribe', messageId, unsubscriptions } as Packet)
    const unsuback = await this.next('unsuback', (packet) => packet.messageId === messageId)
    return (unsuback as unknown as { granted?: number[] }).granted ?? []
  }

  /** The next packet of a kind that has not been taken yet; waits for it. */
  next(command: Packet['cmd'], accepts: (packet: Packet) => boolean = () => true): Promise<Packet> {
    const fits = (packet: Packet) => packet.cmd === command && accepts(packet)
    const index = this.received.findIndex(fits)
    if (index >= 0) return Promise.resolve(this.received.splice(index, 1)[0] as Packet)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${command} within ${PATIENCE_MS} ms`)), PATIENCE_MS)
      this.waiters.push({
        accepts: fits,
        resolve: (packet) => {
          clearTimeout(timer)
          resolve(packet)
        },
      })
    })
  }

  nextPublish(topic?: string): Promise<Publish> {
    return this.next(
      'publish',
      (packet) => topic === undefined || (packet as Publish).topic === topic,
    ) as Promise<Publish>
  }

  /**
   * What has come in and was not taken, after a round trip: PINGREQ is answered behind everything that was sent
   * to this client before it.
   */
  async settled(): Promise<Packet[]> {
    this.send({ cmd: 'pingreq' })
    await this.next('pingresp')
    return this.received.splice(0)
  }

  /** Resolves when the gateway has closed the connection. */
  async closedByPeer(): Promise<void> {
    const patience = new Promise<never>((_resolve, reject) => {
      setTimeout(() => reject(new Error('the connection is still open')), PATIENCE_MS).unref()
    })
    await Promise.race([this.closed, patience])
  }

  get open(): boolean {
    return !this.ended
  }

  /** DISCONNECT, and the end of the socket. */
  async disconnect(reasonCode = 0, properties?: Record<string, unknown>): Promise<void> {
    this.send({ cmd: 'disconnect', reasonCode, ...(properties && { properties }) } as Packet)
    await this.closed
  }

  /** Drops the socket without DISCONNECT. */
  async abort(): Promise<void> {
    this.socket.destroy()
    await this.closed
  }

  private arrived(packet: Packet): void {
    const index = this.waiters.findIndex(({ accepts }) => accepts(packet))
    if (index >= 0) this.waiters.splice(index, 1)[0]?.resolve(packet)
    else this.received.push(packet)
  }
}

export interface ConnAck {
  readonly sessionPresent: boolean
  /** MQTT 3.1.1. */
  readonly returnCode?: number
  /** MQTT 5. */
  readonly reasonCode?: number
  readonly properties?: Record<string, unknown>
}

export interface Ack {
  readonly messageId: number
  readonly reasonCode?: number
  readonly properties?: Record<string, unknown>
}

export type Publish = Extract<Packet, { cmd: 'publish' }> & { readonly payload: Buffer }
