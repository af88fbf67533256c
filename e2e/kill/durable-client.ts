import net from 'node:net'
import mqttPacket, { type Packet } from 'mqtt-packet'

export interface Arrival {
  readonly topic: string
  readonly payload: Buffer | string
  readonly qos: 0 | 1 | 2
  readonly dup: boolean
}

export interface DurableClientOptions {
  readonly clientId: string
  /** Asked for each connection: where there are many nodes it may be another one. */
  readonly port: () => number
  readonly version: 4 | 5
  readonly random: () => number
  /** The gateway may be unavailable, or send its clients elsewhere: then this one tries again. */
  readonly patient?: boolean
  /** Asked for each connection. */
  readonly will?: () => { readonly topic: string; readonly payload: Buffer; readonly qos: 1 | 2 }
  /** CONNACK: the connection that was begun last stands. */
  readonly onAccepted?: () => void
  /** Once a message for QoS 2; once a PUBLISH for QoS 1. */
  readonly onArrival?: (arrival: Arrival) => void
  /** The gateway has taken responsibility: PUBACK or PUBREC. */
  readonly onAcknowledged?: (tag: number) => void
  /** What this client may never see. */
  readonly onFault: (fault: string) => void
}

interface Outgoing {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 1 | 2
  /** Of the caller, for `onAcknowledged`. */
  readonly tag: number
  state: 'publish' | 'pubrel'
}

/** Pause before another attempt to connect, in milliseconds; a killed gateway refuses at once. */
const RETRY_MS = 20

/** CONNACK of a gateway that is unavailable or draining: of MQTT 3.1.1, and of MQTT 5 (3.2.2.2). */
const UNAVAILABLE = { 4: [3], 5: [0x88, 0x89, 0x9c] } as const

/**
 * A patient client looks so often, milliseconds, and gives a connection up that was silent for so many looks: a paused
 * process keeps its sockets, and says nothing.
 */
const LOOK_MS = 500
const LOOKS_CONNECTED = 6
const LOOKS_CONNECTING = 24

/**
 * A client with a durable session that does what MQTT asks of one (MQTT 5, 4.1, 4.3, 4.4): it keeps what is not
 * acknowledged over connections, sends it again with DUP and the same packet identifiers in the original order,
 * and knows QoS 2 messages that it was sent before. Packet identifiers are used again as soon as they are free,
 * the last one first: that leaves a gateway the least room for mistakes.
 */
export class DurableClient {
  /** Times that the session was taken up by a new connection. */
  resumptions = 0
  /** PUBLISH packets that were sent again, by tag. */
  readonly resent = new Map<number, number>()

  private socket: net.Socket | undefined
  private established = false
  private wanted = false
  private everConnected = false
  private retry: NodeJS.Timeout | undefined
  private watch: NodeJS.Timeout | undefined
  private silentLooks = 0
  private readonly outgoing = new Map<number, Outgoing>()
  private readonly incoming = new Set<number>()
  private readonly freeIds: number[] = []
  private nextId = 1
  private readonly waiting: (() => void)[] = []
  private readonly pings: (() => void)[] = []
  private readonly subscriptions = new Map<number, () => void>()

  constructor(private readonly options: DurableClientOptions) {}

  /** Connects, and comes back whenever the connection is lost. Resolves with the first CONNACK. */
  open(): Promise<void> {
    if (this.established) return Promise.resolve()
    if (this.options.patient === true) this.watch ??= setInterval(() => this.look(), LOOK_MS)
    const connected = new Promise<void>((resolve) => this.waiting.push(resolve))
    if (!this.wanted) {
      this.wanted = true
      this.connect()
    }
    return connected
  }

  /** Leaves without DISCONNECT; the session stays. */
  leave(): void {
    this.wanted = false
    clearTimeout(this.retry)
    clearInterval(this.watch)
    this.watch = undefined
    this.abandon()?.destroy()
  }

  /** Ends the session: a connection that begins with nothing and leaves nothing. Resolves when the gateway has closed it. */
  async end(): Promise<void> {
    this.leave()
    const { clientId, version } = this.options
    const socket = net.connect({ port: this.options.port(), host: '127.0.0.1', noDelay: true })
    const parser = mqttPacket.parser({ protocolVersion: version })
    const send = (packet: Packet) => socket.write(mqttPacket.generate(packet, { protocolVersion: version }))
    parser.on('packet', () => send({ cmd: 'disconnect' }))
    socket.on('data', (bytes) => parser.parse(bytes))
    const closed = new Promise<void>((resolve, reject) => {
      socket.once('close', () => resolve())
      socket.once('error', reject)
    })
    send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clientId,
      clean: true,
      keepalive: 0,
    })
    await closed
  }

  /** Connects again while the old connection still stands: the gateway has to take the session over. */
  takeOver(): void {
    if (!this.established) return
    const old = this.abandon()
    // Half dead, as after a change of networks: it neither reads nor closes until the gateway does.
    old?.pause()
    setTimeout(() => old?.destroy(), 2_000).unref()
    this.connect()
  }

  get connected(): boolean {
    return this.established
  }

  get inflight(): number {
    return this.outgoing.size
  }

  publish(topic: string, payload: Buffer, qos: 1 | 2, tag: number): void {
    const id = this.freeIds.pop() ?? this.nextId++
    const message: Outgoing = { topic, payload, qos, tag, state: 'publish' }
    this.outgoing.set(id, message)
    this.sendPublish(id, message, false)
  }

  async subscribe(
    subscriptions: readonly { readonly filter: string; readonly qos: 0 | 1 | 2 }[],
  ): Promise<void> {
    const messageId = 65_535
    const granted = new Promise<void>((resolve) => this.subscriptions.set(messageId, resolve))
    this.send({
      cmd: 'subscribe',
      messageId,
      subscriptions: subscriptions.map(({ filter, qos }) => ({ topic: filter, qos })),
    } as unknown as Packet)
    await granted
  }

  /** Resolves when everything that the gateway sent before has arrived. */
  async roundTrip(): Promise<void> {
    const answered = new Promise<void>((resolve) => this.pings.push(resolve))
    this.send({ cmd: 'pingreq' })
    await answered
  }

  private connect(): void {
    const { clientId, port, version } = this.options
    const will = this.options.will?.()
    this.silentLooks = 0
    const socket = net.connect({ port: port(), host: '127.0.0.1', noDelay: true })
    this.socket = socket
    const parser = mqttPacket.parser({ protocolVersion: version })
    parser.on('packet', (packet) => {
      if (this.socket === socket) this.received(packet)
    })
    parser.on('error', (error) => this.options.onFault(`${clientId}: ${String(error)}`))
    socket.on('data', (bytes) => {
      if (this.socket !== socket) return
      this.silentLooks = 0
      // One write for the answers to all that came with one read.
      socket.cork()
      parser.parse(bytes)
      socket.uncork()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (this.socket === socket) this.lost()
    })
    this.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clientId,
      clean: false,
      keepalive: 0,
      ...(will !== undefined && { will: { ...will, retain: false } }),
      ...(version === 5 && { properties: { sessionExpiryInterval: 0xffff_ffff } }),
    })
  }

  private lost(): void {
    this.abandon()
    if (this.wanted) this.retry = setTimeout(() => this.connect(), RETRY_MS * (0.5 + this.options.random()))
  }

  private look(): void {
    const { socket } = this
    if (socket === undefined) return
    if (++this.silentLooks > (this.established ? LOOKS_CONNECTED : LOOKS_CONNECTING)) {
      this.lost()
      socket.destroy()
    } else if (this.established) {
      this.pings.push(nothing)
      this.send({ cmd: 'pingreq' })
    }
  }

  private abandon(): net.Socket | undefined {
    const { socket } = this
    this.socket = undefined
    this.established = false
    // What was asked for is asked again; what was sent to hear anything is not.
    this.pings.splice(0, Infinity, ...this.pings.filter((ping) => ping !== nothing))
    return socket
  }

  private received(packet: Packet): void {
    switch (packet.cmd) {
      case 'connack':
        this.resume(packet.sessionPresent, packet.returnCode ?? packet.reasonCode ?? 0)
        break
      case 'publish':
        this.arrived(packet)
        break
      case 'pubrel':
        this.incoming.delete(packet.messageId as number)
        this.answer('pubcomp', packet.messageId as number)
        break
      case 'puback':
        this.acknowledged(packet.messageId as number, packet.reasonCode ?? 0, 1)
        break
      case 'pubrec':
        this.acknowledged(packet.messageId as number, packet.reasonCode ?? 0, 2)
        break
      case 'pubcomp':
        if (this.outgoing.get(packet.messageId as number)?.state === 'pubrel')
          this.free(packet.messageId as number)
        break
      case 'suback':
        this.subscriptions.get(packet.messageId as number)?.()
        break
      case 'pingresp':
        this.pings.shift()?.()
        break
      case 'disconnect':
        break
      default:
        this.options.onFault(`${this.options.clientId}: unexpected ${packet.cmd}`)
    }
  }

  private resume(sessionPresent: boolean, code: number): void {
    const { clientId, version, patient = false, onFault } = this.options
    if (code !== 0) {
      const unavailable: readonly number[] = UNAVAILABLE[version]
      if (!patient || !unavailable.includes(code)) onFault(`${clientId}: CONNACK ${code}`)
      return
    }
    if (this.everConnected) {
      this.resumptions++
      if (!sessionPresent) onFault(`${clientId}: the session is lost`)
    }
    this.everConnected = true
    this.established = true
    this.options.onAccepted?.()
    for (const [id, message] of this.outgoing) {
      if (message.state === 'pubrel') {
        this.answer('pubrel', id)
      } else {
        this.resent.set(message.tag, (this.resent.get(message.tag) ?? 0) + 1)
        this.sendPublish(id, message, true)
      }
    }
    for (let i = 0; i < this.pings.length; i++) this.send({ cmd: 'pingreq' })
    for (const resolve of this.waiting.splice(0)) resolve()
  }

  private arrived(packet: Extract<Packet, { cmd: 'publish' }>): void {
    const { topic, qos, dup, messageId: id = 0 } = packet
    const arrival = { topic, payload: packet.payload, qos, dup }
    if (qos === 2) {
      const known = this.incoming.has(id)
      if (known && !dup)
        this.options.onFault(`${this.options.clientId}: packet identifier ${id} used twice at a time`)
      this.incoming.add(id)
      if (!known) this.options.onArrival?.(arrival)
      this.answer('pubrec', id)
    } else {
      this.options.onArrival?.(arrival)
      if (qos === 1) this.answer('puback', id)
    }
  }

  private acknowledged(id: number, reasonCode: number, qos: 1 | 2): void {
    const message = this.outgoing.get(id)
    // What is not under way was acknowledged on an earlier connection already.
    if (message?.qos !== qos) return
    if (reasonCode >= 0x80) {
      this.options.onFault(`${this.options.clientId}: publish refused with ${reasonCode}`)
      return
    }
    if (message.state === 'publish') this.options.onAcknowledged?.(message.tag)
    if (qos === 1) {
      this.free(id)
    } else {
      message.state = 'pubrel'
      this.answer('pubrel', id)
    }
  }

  private free(id: number): void {
    this.outgoing.delete(id)
    this.freeIds.push(id)
  }

  private sendPublish(id: number, { topic, payload, qos }: Outgoing, dup: boolean): void {
    if (!this.established) return
    this.send({ cmd: 'publish', topic, payload, qos, dup, retain: false, messageId: id })
  }

  private answer(cmd: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp', messageId: number): void {
    this.send({ cmd, messageId })
  }

  private send(packet: Packet): void {
    this.socket?.write(mqttPacket.generate(packet, { protocolVersion: this.options.version }))
  }
}

const nothing = (): void => {}
