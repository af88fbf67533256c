import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { CloseCause } from '../contract/transport.js'
import type { Channel, ChannelOwner, TrafficCounter } from './channel.js'
import { webSocketCloses } from './close-codes.js'

/** Bytes with the socket and the compressor above which the peer is not written to. */
const HIGH_WATER = 65_536
const TOO_LONG = 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'

/**
 * A WebSocket that negotiated permessage-deflate, carried by the `ws` package: inflating is asynchronous and wants
 * whole messages, nothing that the frames by hand should know of. One batch is one message, so that compression
 * sees all that a turn produces at once.
 */
export class CompressedChannel implements Channel {
  private blocked = false
  private read: number
  private written: number

  constructor(
    private readonly webSocket: WebSocket,
    private readonly socket: Socket,
    private readonly traffic: TrafficCounter,
    owner: ChannelOwner,
  ) {
    webSocket.on('message', (data: Buffer, isBinary) => {
      this.count()
      if (isBinary) owner.received(data, 0, data.length)
      else this.refuseText(owner)
    })
    this.read = socket.bytesRead
    this.written = socket.bytesWritten
    // `ws` answers a violation with its close code by itself.
    webSocket.on('error', (error: NodeJS.ErrnoException) => {
      owner.ending(error.code === TOO_LONG ? 'packet_too_large' : 'protocol_error')
    })
    webSocket.on('close', () => {
      this.count()
      owner.gone()
    })
    this.onSent = () => {
      this.count()
      if (!this.blocked || webSocket.bufferedAmount > HIGH_WATER) return
      this.blocked = false
      owner.writable()
    }
  }

  write(batch: readonly Buffer[], length: number): boolean {
    const [first] = batch
    const bytes = batch.length === 1 && first !== undefined ? first : Buffer.concat(batch, length)
    this.webSocket.send(bytes, this.onSent)
    this.blocked = this.webSocket.bufferedAmount > HIGH_WATER
    return !this.blocked
  }

  get bufferedBytes(): number {
    return this.webSocket.bufferedAmount
  }

  pause(): void {
    this.webSocket.pause()
  }

  resume(): void {
    this.webSocket.resume()
  }

  end(cause: CloseCause): void {
    const { code, reason } = webSocketCloses[cause]
    this.webSocket.close(code, reason)
  }

  destroy(): void {
    this.webSocket.terminate()
  }

  private readonly onSent: () => void

  /** MQTT travels in binary frames [MQTT-6.0.0-1]. */
  private refuseText(owner: ChannelOwner): void {
    this.webSocket.close(1003, 'MQTT travels in binary frames')
    owner.ending('protocol_error')
  }

  private count(): void {
    const { bytesRead, bytesWritten } = this.socket
    this.traffic.bytesReceived(bytesRead - this.read)
    this.traffic.bytesSent(bytesWritten - this.written)
    this.read = bytesRead
    this.written = bytesWritten
  }
}
