import type net from 'node:net'
import { GatewayError } from '../../broker/contract/errors.js'
import { isWebSocket, openSocket, upgradeRequest, type Endpoint, type Upgrade } from './endpoint.js'
import type { FlushList } from './flush-list.js'
import { FrameReader, PING, PONG, type CLOSE } from './frame-reader.js'
import { frameOverhead, writeMaskedFrame } from './masked-frame.js'
import type { MessageTemplate } from './message-template.js'
import { CONNACK, DISCONNECT, PacketReader, SUBACK, type PacketSink } from './packet-reader.js'
import {
  connectPacket,
  disconnectPacket,
  subscribePacket,
  writeAcknowledgement,
  type Version,
} from './packets.js'

export interface ConnectionOptions {
  readonly endpoint: Endpoint
  readonly version: Version
  readonly clientId: string
  readonly clean: boolean
  readonly sessionExpirySeconds: number
  readonly flushList: FlushList
  /** Longest wait for the connection, CONNACK and SUBACK each. */
  readonly patienceMs: number
}

/** What a connection hands on; the rest it does itself. */
export interface ConnectionHandler {
  publish(bytes: Buffer, payload: number, end: number, qos: number, packetId: number): void
  acknowledgement(type: number, packetId: number, reason: number): void
  /** The connection is over, and nobody asked for that. */
  lost(): void
}

/** Bytes waiting for the kernel above which nothing new should be sent. */
const CONGESTED_BYTES = 1_048_576
const OUT_BYTES = 2_048
const FIN_CLOSE = 0x88

const silent: ConnectionHandler = { publish: () => {}, acknowledgement: () => {}, lost: () => {} }

/**
 * One MQTT client that costs little: bytes are read where they lie, what is sent is collected into one buffer that is
 * used again, and an MQTT packet is a WebSocket frame of its own, as clients in the field send it.
 */
export class Connection implements PacketSink {
  handler: ConnectionHandler = silent
  bytesIn = 0
  bytesOut = 0

  private readonly packets: PacketReader
  private readonly frames: FrameReader | undefined
  private socket: net.Socket | undefined
  private upgrade: Upgrade | undefined
  private response = ''
  private out = Buffer.alloc(0)
  private outLength = 0
  private listed = false
  private ending = false
  private waiter: Waiter | undefined

  private constructor(private readonly options: ConnectionOptions) {
    const framed = isWebSocket(new URL(options.endpoint.url))
    this.packets = new PacketReader(this, options.version)
    this.frames = framed
      ? new FrameReader({
          frameBytes: (bytes, start, end) => this.packets.push(bytes, start, end),
          control: (opcode, payload) => this.answerControl(opcode, payload),
        })
      : undefined
  }

  /**
   * Resolves when the broker has accepted; rejects with `BROKER_UNREACHABLE` or `BROKER_REFUSED`. `prepare` sets the
   * handler of a session that is resumed: its messages may come with the CONNACK.
   */
  static async open(
    options: ConnectionOptions,
    prepare: (connection: Connection) => void = () => {},
  ): Promise<Connection> {
    const connection = new Connection(options)
    prepare(connection)
    try {
      await connection.connect()
    } catch (error) {
      connection.destroy()
      throw error
    }
    return connection
  }

  get framed(): boolean {
    return this.frames !== undefined
  }

  get congested(): boolean {
    return (this.socket?.writableLength ?? 0) > CONGESTED_BYTES
  }

  /** Subscribes with one packet; rejects when a filter is refused. */
  async subscribe(filters: readonly string[], qos: number): Promise<void> {
    const codes = this.wait(SUBACK)
    this.sendPacket(subscribePacket(this.options.version, 1, filters, qos))
    this.flush()
    // MQTT 5 has properties (none, one byte) between packet identifier and reason codes.
    const granted = (await codes).subarray(this.options.version === 5 ? 3 : 2)
    if (granted.some((code) => code >= 0x80)) {
      throw new GatewayError('BROKER_REFUSED', `the broker refused a subscription to ${filters.join(', ')}`)
    }
  }

  sendMessage(template: MessageTemplate, packetId: number, sequence: number, micros: number): void {
    const offset = this.reserve(template.length)
    template.write(this.out, offset, packetId, sequence, micros)
  }

  sendAcknowledgement(type: number, packetId: number): void {
    writeAcknowledgement(acknowledgement, 0, type, packetId)
    this.sendPacket(acknowledgement)
  }

  sendPacket(packet: Uint8Array): void {
    if (this.frames !== undefined) {
      this.sendFrame(packet)
      return
    }
    const offset = this.reserve(packet.length)
    this.out.set(packet, offset)
  }

  flush(): void {
    const { socket, outLength } = this
    this.listed = false
    if (socket === undefined || outLength === 0) return
    const waiting = socket.writableLength
    socket.write(this.out.subarray(0, outLength))
    this.outLength = 0
    // What the kernel did not take at once still lies in this buffer.
    if (waiting + socket.writableLength > 0) this.out = Buffer.alloc(0)
  }

  /** Stops reading: the broker's writes fill the socket's buffers. */
  pause(): void {
    this.socket?.pause()
  }

  resume(): void {
    this.socket?.resume()
  }

  /** DISCONNECT, and the end of the socket. */
  async close(): Promise<void> {
    const { socket } = this
    if (socket === undefined || socket.destroyed) return
    this.ending = true
    this.sendPacket(disconnectPacket())
    this.flush()
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    socket.end()
    // A broker may take its time to answer; nothing depends on it.
    const timer = setTimeout(() => socket.destroy(), 200)
    await closed
    clearTimeout(timer)
  }

  /** Drops the socket without DISCONNECT. */
  destroy(): void {
    this.ending = true
    this.socket?.destroy()
  }

  publish(bytes: Buffer, payload: number, end: number, qos: number, packetId: number): void {
    this.handler.publish(bytes, payload, end, qos, packetId)
  }

  acknowledgement(type: number, packetId: number, reason: number): void {
    this.handler.acknowledgement(type, packetId, reason)
  }

  other(type: number, bytes: Buffer, start: number, end: number): void {
    if (type === this.waiter?.type) this.waiter.resolve(Buffer.from(bytes.subarray(start, end)))
    else if (type === DISCONNECT) this.socket?.destroy()
  }

  private async connect(): Promise<void> {
    const { endpoint, patienceMs } = this.options
    const opening = openSocket(endpoint, (bytes, start, end) => this.read(bytes, start, end))
    opening.then(
      (socket) => {
        if (this.ending) socket.destroy()
      },
      () => {},
    )
    let socket: net.Socket
    try {
      socket = await within(opening, patienceMs)
    } catch (error) {
      throw new GatewayError('BROKER_UNREACHABLE', `${endpoint.url} cannot be reached: ${messageOf(error)}`, {
        cause: error,
      })
    }
    this.socket = socket
    socket.on('error', () => {})
    socket.once('close', () => this.closed())
    const connack = this.wait(CONNACK)
    if (this.framed) {
      this.upgrade = upgradeRequest(endpoint)
      socket.write(this.upgrade.request)
    } else {
      this.sendConnect()
    }
    const code = (await connack)[1] ?? 0
    if (code !== 0) {
      throw new GatewayError('BROKER_REFUSED', `${endpoint.url} refused the connection with code ${code}`)
    }
  }

  private sendConnect(): void {
    const { username, password } = this.options.endpoint
    this.sendPacket(connectPacket({ ...this.options, username, password }))
    this.flush()
  }

  private read(bytes: Buffer, start: number, end: number): void {
    this.bytesIn += end - start
    if (this.upgrade !== undefined) this.readResponse(this.upgrade, bytes, start, end)
    else if (this.frames !== undefined) this.frames.push(bytes, start, end)
    else this.packets.push(bytes, start, end)
    this.options.flushList.flush()
  }

  /** The broker sends nothing behind its answer before it has seen CONNECT. */
  private readResponse(upgrade: Upgrade, bytes: Buffer, start: number, end: number): void {
    this.response += bytes.toString('latin1', start, end)
    if (!this.response.includes('\r\n\r\n')) return
    this.upgrade = undefined
    this.bytesIn = 0
    if (upgrade.accepts(this.response)) {
      this.sendConnect()
    } else {
      const status = this.response.split('\r\n', 1)[0] ?? ''
      this.waiter?.reject(new GatewayError('BROKER_REFUSED', `no WebSocket: ${status}`))
    }
    this.response = ''
  }

  private answerControl(opcode: typeof PING | typeof CLOSE, payload: Buffer): void {
    if (opcode === PING) this.sendFrame(payload, 0x80 | PONG)
    else {
      this.sendFrame(payload.subarray(0, 2), FIN_CLOSE)
      this.flush()
      this.socket?.end()
    }
  }

  private sendFrame(payload: Uint8Array, opcode?: number): void {
    const offset = this.reserve(payload.length + frameOverhead(payload.length))
    writeMaskedFrame(this.out, offset, payload, opcode)
  }

  /** Makes room in the buffer, and sees to it that it will be sent; returns the offset of the room. */
  private reserve(length: number): number {
    const offset = this.outLength
    if (this.out.length < offset + length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(OUT_BYTES, (offset + length) * 2))
      this.out.copy(larger, 0, 0, offset)
      this.out = larger
    }
    this.outLength += length
    this.bytesOut += length
    if (!this.listed) {
      this.listed = true
      this.options.flushList.add(this)
    }
    return offset
  }

  /** The body of the next packet of a kind. */
  private wait(type: number): Promise<Buffer> {
    const { patienceMs, endpoint } = this.options
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiter?.reject(
          new GatewayError('BROKER_UNREACHABLE', `${endpoint.url} did not answer within ${patienceMs} ms`),
        )
      }, patienceMs)
      const settle = (end: () => void) => {
        clearTimeout(timer)
        this.waiter = undefined
        end()
      }
      this.waiter = {
        type,
        resolve: (body) => settle(() => resolve(body)),
        reject: (error) => settle(() => reject(error)),
      }
    })
  }

  private closed(): void {
    this.waiter?.reject(
      new GatewayError('BROKER_REFUSED', `${this.options.endpoint.url} closed the connection`),
    )
    if (!this.ending) this.handler.lost()
    this.ending = true
  }
}

const acknowledgement = Buffer.alloc(4)

interface Waiter {
  readonly type: number
  readonly resolve: (body: Buffer) => void
  readonly reject: (error: Error) => void
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
