import net from 'node:net'
import type { Duplex } from 'node:stream'
import mqttPacket, {
  type IAuthPacket,
  type IConnackPacket,
  type IConnectPacket,
  type IDisconnectPacket,
  type IPubackPacket,
  type IPublishPacket,
  type IPubrecPacket,
  type ISubackPacket,
  type ISubscribePacket,
  type ISubscription,
  type IUnsubackPacket,
  type Packet,
} from 'mqtt-packet'

/** Longest wait for a packet, in milliseconds: a failing test says what it waited for instead of hanging. */
const PATIENCE_MS = 5_000

export type ProtocolVersion = 3 | 4 | 5
export type QoS = 0 | 1 | 2
export type ConnectOptions = Partial<Omit<IConnectPacket, 'cmd'>>
export type PublishOptions = Partial<Omit<IPublishPacket, 'cmd' | 'topic' | 'payload'>>
export type Publish = IPublishPacket & { readonly payload: Buffer }

type Command = Packet['cmd']
type PacketOf<C extends Command> = C extends 'publish' ? Publish : Extract<Packet, { cmd: C }>

interface Waiter {
  readonly accepts: (packet: Packet) => boolean
  readonly resolve: (packet: Packet) => void
  readonly reject: (error: Error) => void
}

/**
 * An MQTT client that does nothing by itself: a test sends packets, or bytes, and looks at each packet that
 * comes back. mqtt-packet is its codec, so that the gateway's own does not judge itself.
 */
export class RawClient {
  /** Everything that has come in, for what a codec hides. */
  readonly bytes: Buffer[] = []
  private readonly received: Packet[] = []
  private readonly waiters: Waiter[] = []
  private readonly parser
  private readonly closed: Promise<void>
  private ended = false
  private answer: IConnackPacket | undefined
  private nextId = 1

  /** `socket`: TCP, TLS, or the stream of a WebSocket. */
  constructor(
    readonly socket: Duplex,
    readonly version: ProtocolVersion = 5,
  ) {
    this.parser = mqttPacket.parser({ protocolVersion: version })
    this.parser.on('packet', (packet) => this.arrived(packet))
    this.parser.on('error', (error: Error) => this.fail(error))
    socket.on('data', (bytes: Buffer) => {
      this.bytes.push(bytes)
      this.parser.parse(bytes)
    })
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.ended = true
        resolve()
        this.fail(new Error('the connection was closed'))
      })
    })
  }

  /** Opens a TCP connection and sends nothing. */
  static async open(port: number, version: ProtocolVersion = 5): Promise<RawClient> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new RawClient(socket, version)
  }

  /** Opens, connects and waits for a CONNACK, whatever it says. */
  static async connect(port: number, options: ConnectOptions = {}): Promise<RawClient> {
    const client = await RawClient.open(port, options.protocolVersion ?? 5)
    return client.connect(options)
  }

  /** CONNECT, and the CONNACK that answers it. */
  async connect(options: ConnectOptions = {}): Promise<RawClient> {
    this.sendConnect(options)
    this.answer = await this.next('connack')
    return this
  }

  /** What `connect` was answered. */
  get connack(): IConnackPacket {
    if (this.answer === undefined) throw new Error('there has been no CONNACK')
    return this.answer
  }

  sendConnect(options: ConnectOptions = {}): void {
    this.send({
      cmd: 'connect',
      clientId: '',
      clean: true,
      keepalive: 0,
      ...options,
      protocolVersion: this.version,
      protocolId: this.version === 3 ? 'MQIsdp' : 'MQTT',
    })
  }

  send(packet: Packet): void {
    this.write(mqttPacket.generate(packet, { protocolVersion: this.version }))
  }

  write(bytes: Buffer | readonly number[]): void {
    this.socket.write(Buffer.from(bytes))
  }

  /** A packet identifier that this client has not used yet. */
  packetId(): number {
    return this.nextId++
  }

  /** Returns the packet identifier; 0 for QoS 0. */
  publish(topic: string, payload: string | Buffer, options: PublishOptions = {}): number {
    const { qos = 0 } = options
    const messageId = options.messageId ?? (qos > 0 ? this.packetId() : 0)
    this.send({ cmd: 'publish', topic, payload, qos, retain: false, dup: false, ...options, messageId })
    return messageId
  }

  /** Publishes with QoS 1 or 2 and waits for the end of the exchange; returns the PUBACK or PUBREC. */
  async publishAcknowledged(
    topic: string,
    payload: string | Buffer,
    options: PublishOptions & { qos: 1 | 2 },
  ): Promise<IPubackPacket | IPubrecPacket> {
    const messageId = this.publish(topic, payload, options)
    const answers = (packet: Packet) => packet.messageId === messageId
    if (options.qos === 1) return this.next('puback', answers)
    const pubrec = await this.next('pubrec', answers)
    if ((pubrec.reasonCode ?? 0) >= 0x80) return pubrec
    this.send({ cmd: 'pubrel', messageId })
    await this.next('pubcomp', answers)
    return pubrec
  }

  /** Subscribes and waits for SUBACK; returns its codes. */
  async subscribe(
    filters: string | readonly (Partial<ISubscription> & { topic: string })[],
    qos: QoS = 0,
    properties?: ISubscribePacket['properties'],
  ): Promise<number[]> {
    const messageId = this.packetId()
    const list = typeof filters === 'string' ? [{ topic: filters, qos }] : filters
    this.send({
      cmd: 'subscribe',
      messageId,
      subscriptions: list.map((subscription) => ({ qos, ...subscription })),
      ...(properties !== undefined && { properties }),
    })
    const suback: ISubackPacket = await this.next('suback', (packet) => packet.messageId === messageId)
    return suback.granted as number[]
  }

  /** Unsubscribes and waits for UNSUBACK; returns its codes (none before MQTT 5). */
  async unsubscribe(...unsubscriptions: string[]): Promise<number[]> {
    const messageId = this.packetId()
    this.send({ cmd: 'unsubscribe', messageId, unsubscriptions })
    const unsuback: Partial<IUnsubackPacket> = await this.next(
      'unsuback',
      (packet) => packet.messageId === messageId,
    )
    return unsuback.granted ?? []
  }

  /** Acknowledges a PUBLISH with all that its QoS asks for. */
  async acknowledge(publish: IPublishPacket): Promise<void> {
    const { messageId, qos } = publish
    if (messageId === undefined || qos === 0) return
    if (qos === 1) {
      this.send({ cmd: 'puback', messageId })
      return
    }
    this.send({ cmd: 'pubrec', messageId })
    await this.next('pubrel', (packet) => packet.messageId === messageId)
    this.send({ cmd: 'pubcomp', messageId })
  }

  /** The next packet of a kind that has not been taken yet; waits for it. */
  next<C extends Command>(
    command: C,
    accepts: (packet: PacketOf<C>) => boolean = () => true,
  ): Promise<PacketOf<C>> {
    const fits = (packet: Packet) => packet.cmd === command && accepts(packet as PacketOf<C>)
    const index = this.received.findIndex(fits)
    if (index >= 0) return Promise.resolve(this.received.splice(index, 1)[0] as PacketOf<C>)
    if (this.ended) return Promise.reject(new Error(`no ${command} will come: the connection is closed`))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const others = this.received.map(({ cmd }) => cmd).join(', ')
        this.dismiss(waiter)
        reject(new Error(`no ${command} within ${PATIENCE_MS} ms; there is: ${others || 'nothing'}`))
      }, PATIENCE_MS)
      const waiter: Waiter = {
        accepts: fits,
        resolve: (packet) => {
          clearTimeout(timer)
          resolve(packet as PacketOf<C>)
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(new Error(`no ${command}: ${error.message}`))
        },
      }
      this.waiters.push(waiter)
    })
  }

  nextPublish(topic?: string): Promise<Publish> {
    return this.next('publish', (packet) => topic === undefined || packet.topic === topic)
  }

  /** The payloads of the next messages, in the order in which they come; not acknowledged. */
  async nextPayloads(count: number): Promise<string[]> {
    const payloads: string[] = []
    while (payloads.length < count) payloads.push((await this.nextPublish()).payload.toString())
    return payloads
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
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error('the connection is still open')), PATIENCE_MS)
    })
    await Promise.race([this.closed, patience]).finally(() => clearTimeout(timer))
  }

  /** Waits for DISCONNECT and the end of the connection behind it; returns the reason code. */
  async disconnectedByPeer(): Promise<number> {
    const { reasonCode = 0 }: IDisconnectPacket = await this.next('disconnect')
    await this.closedByPeer()
    return reasonCode
  }

  /** Waits for the end of the connection; returns what came before it and was not taken. */
  async remainder(): Promise<Packet[]> {
    await this.closedByPeer()
    return this.received.splice(0)
  }

  get open(): boolean {
    return !this.ended
  }

  /** DISCONNECT, and the end of the socket. */
  async disconnect(reasonCode = 0, properties?: IDisconnectPacket['properties']): Promise<void> {
    this.send({ cmd: 'disconnect', reasonCode, ...(properties !== undefined && { properties }) })
    await this.closedByPeer()
  }

  /** Drops the socket without DISCONNECT. */
  async abort(): Promise<void> {
    this.socket.destroy()
    await this.closed
  }

  private arrived(packet: Packet): void {
    const waiter = this.waiters.find(({ accepts }) => accepts(packet))
    if (waiter === undefined) {
      this.received.push(packet)
      return
    }
    this.dismiss(waiter)
    waiter.resolve(packet)
  }

  private dismiss(waiter: Waiter): void {
    const index = this.waiters.indexOf(waiter)
    if (index >= 0) this.waiters.splice(index, 1)
  }

  private fail(error: Error): void {
    for (const waiter of this.waiters.splice(0)) waiter.reject(error)
  }
}

export type { IAuthPacket, IConnackPacket, Packet }
