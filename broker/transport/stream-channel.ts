import type { Socket } from 'node:net'
import type { Assembler } from './assembler.js'
import { readShared } from './shared-read.js'
import type { Channel, ChannelOwner, TrafficCounter } from './channel.js'

/** MQTT on the bare socket: tcp and tls. The socket allows half-open, so that what is queued outlives the peer's end. */
export class StreamChannel implements Channel {
  constructor(
    private readonly socket: Socket,
    private readonly assembler: Assembler,
    private readonly traffic: TrafficCounter,
    owner: ChannelOwner,
  ) {
    const read = (chunk: Buffer): void => {
      traffic.bytesReceived(chunk.length)
      owner.received(chunk)
    }
    readShared(socket, read)
    socket.on('data', read)
    socket.on('drain', () => owner.writable())
    socket.on('end', () => owner.ending('peer_closed'))
    socket.on('error', () => owner.failed('socket_error'))
    socket.on('close', () => owner.gone())
  }

  write(batch: readonly Buffer[], length: number): boolean {
    const [first] = batch
    const bytes = batch.length === 1 && first !== undefined ? first : this.assembler.assemble(batch, length)
    this.traffic.bytesSent(length)
    return tookAll(this.socket, this.socket.write(bytes))
  }

  get bufferedBytes(): number {
    return this.socket.writableLength
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

/**
 * Whether a socket may be written on. `write` also returns false for bytes above the high-water mark that the
 * operating system took at once; then nothing is left to wait for.
 */
export function tookAll(socket: Socket, returned: boolean): boolean {
  return returned || socket.writableLength === 0
}
