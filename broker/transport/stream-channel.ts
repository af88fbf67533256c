import type { Socket } from 'node:net'
import type { Assembler } from './assembler.js'
import { readShared } from './shared-read.js'
import { writerOf, type SocketWriter } from './socket-writer.js'
import type { Channel, ChannelOwner, TrafficCounter } from './channel.js'

/** MQTT on the bare socket: tcp and tls. The socket allows half-open, so that what is queued outlives the peer's end. */
export class StreamChannel implements Channel {
  private readonly writer: SocketWriter

  constructor(
    private readonly socket: Socket,
    private readonly assembler: Assembler,
    private readonly traffic: TrafficCounter,
    owner: ChannelOwner,
  ) {
    const read = (chunk: Buffer, size: number): void => {
      traffic.bytesReceived(size)
      owner.received(chunk, 0, size)
    }
    readShared(socket, read)
    socket.on('data', (chunk: Buffer) => read(chunk, chunk.length))
    this.writer = writerOf(socket, () => owner.writable())
    socket.on('end', () => owner.ending('peer_closed'))
    socket.on('error', () => owner.failed('socket_error'))
    socket.on('close', () => owner.gone())
  }

  write(batch: readonly Buffer[], length: number): boolean {
    const [first] = batch
    const bytes = batch.length === 1 && first !== undefined ? first : this.assembler.assemble(batch, length)
    this.traffic.bytesSent(length)
    return this.writer.write(bytes)
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

  end(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }
}
