import type { Socket } from 'node:net'
import type { CloseCause } from '../contract/transport.js'
import type { Assembler } from './assembler.js'
import type { Channel, ChannelOwner, TrafficCounter } from './channel.js'
import { webSocketCloses } from './close-codes.js'
import { FrameReader } from './frame-reader.js'
import { closeFrame, frameHeaderSize, pongFrame, writeBinaryHeader } from './frame-writer.js'
import { LARGE_ENTRY } from './outbox-queue.js'
import { readShared } from './shared-read.js'
import { writerOf, type SocketWriter } from './socket-writer.js'

/**
 * MQTT in WebSocket frames on an upgraded socket, read and written by hand: 16 % (in) to 45 % (fan-out) more
 * messages a CPU-second than through the `ws` package, see docs/decisions/0002-websocket-transport.md.
 */
export class WebSocketChannel implements Channel {
  private readonly reader = new FrameReader()
  private readonly writer: SocketWriter
  private blocked = false
  /** The reader has come to its end. */
  private readAll = false
  private ended = false

  constructor(
    private readonly socket: Socket,
    private readonly assembler: Assembler,
    private readonly traffic: TrafficCounter,
    private readonly owner: ChannelOwner,
  ) {
    readShared(socket, (chunk, size) => this.read(chunk, size))
    // Bytes that came with the handshake, and all of them where reads cannot be shared.
    socket.on('data', (chunk: Buffer) => this.read(chunk, chunk.length))
    this.writer = writerOf(socket, () => {
      this.blocked = false
      this.pong()
      owner.writable()
    })
    socket.on('end', () => {
      owner.ending('peer_closed')
      // While the closing handshake waits for the peer's frame, its end is as good.
      if (this.ended) socket.end()
    })
    socket.on('error', () => owner.failed('socket_error'))
    socket.on('close', () => owner.gone())
  }

  write(batch: readonly Buffer[], length: number): boolean {
    const [first] = batch
    const header = frameHeaderSize(length)
    if (batch.length === 1 && first !== undefined && length >= LARGE_ENTRY) {
      // Header and payload leave in one `writev`, without a copy of the payload.
      const headerBytes = Buffer.allocUnsafe(header)
      writeBinaryHeader(headerBytes, length)
      this.blocked = !this.writer.writeBoth(headerBytes, first)
    } else {
      this.blocked = !this.writer.write(this.assembler.assemble(batch, length))
    }
    this.traffic.bytesSent(header + length)
    return !this.blocked
  }

  get bufferedBytes(): number {
    return this.writer.waiting
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /**
   * The closing handshake (RFC 6455, 7.1.2). The peer's close frame is waited for, unless it has come or no frame
   * of this peer can be read any more. Then the server ends the TCP connection first.
   */
  end(cause: CloseCause): void {
    this.ended = true
    const { end } = this.reader
    if (end?.kind === 'closed') this.writeControl(closeFrame(end.code, ''))
    else if (end?.kind === 'violation') this.writeControl(closeFrame(end.code, end.detail))
    else {
      const { code, reason } = webSocketCloses[cause]
      this.writeControl(closeFrame(code, reason))
    }
    if (end !== undefined || this.socket.readableEnded) this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }

  private read(chunk: Buffer, size: number): void {
    this.traffic.bytesReceived(size)
    if (this.readAll) return
    const { reader } = this
    reader.read(chunk, size)
    const { payloadStart, payloadEnd } = reader
    if (payloadEnd > payloadStart) this.owner.received(chunk, payloadStart, payloadEnd)
    if (reader.ping !== undefined) this.pong()
    if (reader.end === undefined) return
    this.readAll = true
    if (this.ended) this.socket.end()
    else this.owner.ending(reader.end.kind === 'closed' ? 'peer_closed' : 'protocol_error')
  }

  /**
   * Answers the latest ping: one pong a read at most, and none while the peer does not read, so that pings in
   * bulk cost no more than other bytes (RFC 6455, 5.5.3 lets the earlier ones go unanswered).
   */
  private pong(): void {
    const { ping } = this.reader
    if (ping === undefined || this.blocked || this.ended) return
    this.reader.ping = undefined
    this.writeControl(pongFrame(ping))
  }

  private writeControl(frame: Buffer): void {
    this.traffic.bytesSent(frame.length)
    // Set only: whether the peer keeps up again is said by the writer.
    if (!this.writer.write(frame)) this.blocked = true
  }
}
