import { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** Writes to one socket, and tells how far the operating system keeps up. */
export interface SocketWriter {
  /** Returns whether all has been taken; if not, `onDrained` is called when it has. */
  write(bytes: Buffer): boolean
  /** The same for two pieces, without a copy. */
  writeBoth(first: Buffer, second: Buffer): boolean
  /** Bytes that the operating system has not taken yet. */
  readonly waiting: number
}

/**
 * Past the stream of the socket where that is possible: `Socket.write` takes 0.5 to 1 us of a write of 90 bytes that
 * takes 5 to 8 in all, for the bookkeeping of the stream and a callback at the end of the tick.
 *
 * Node has no documented way for this. What it needs of a socket is looked for; where it is not as expected (another
 * version of Node, TLS), the stream has to do.
 */
export function writerOf(socket: Socket, onDrained: () => void): SocketWriter {
  const { _handle: handle } = socket as unknown as { readonly _handle?: Partial<Handle> | null }
  const direct =
    Request !== undefined &&
    !(socket instanceof TLSSocket) &&
    typeof handle?.writeBuffer === 'function' &&
    typeof handle.writev === 'function' &&
    typeof handle.writeQueueSize === 'number'
  return direct
    ? new DirectWriter(socket, handle as Handle, Request, onDrained)
    : new StreamWriter(socket, onDrained)
}

class StreamWriter implements SocketWriter {
  constructor(
    private readonly socket: Socket,
    onDrained: () => void,
  ) {
    socket.on('drain', onDrained)
  }

  get waiting(): number {
    return this.socket.writableLength
  }

  write(bytes: Buffer): boolean {
    return this.tookAll(this.socket.write(bytes))
  }

  writeBoth(first: Buffer, second: Buffer): boolean {
    const { socket } = this
    socket.cork()
    socket.write(first)
    const taken = socket.write(second)
    socket.uncork()
    return this.tookAll(taken)
  }

  /** `write` also returns false for bytes above the high-water mark that the operating system took at once. */
  private tookAll(returned: boolean): boolean {
    return returned || this.socket.writableLength === 0
  }
}

/** What Node keeps of one write. */
interface WriteRequest {
  oncomplete: (status: number) => void
  /** What is being written must not be collected meanwhile. */
  buffer: unknown
}

/** What is below a socket. Both return 0 or the negative number of an error; what is not taken at once waits in it. */
interface Handle {
  writeBuffer(request: WriteRequest, bytes: Buffer): number
  writev(request: WriteRequest, pieces: readonly Buffer[], allBuffers: true): number
  /** Bytes. */
  readonly writeQueueSize: number
}

class DirectWriter implements SocketWriter {
  /** Used for every write until one has to wait, which is rare. */
  private static request: WriteRequest | undefined

  constructor(
    private readonly socket: Socket,
    private readonly handle: Handle,
    private readonly Request: new () => WriteRequest,
    private readonly onDrained: () => void,
  ) {}

  get waiting(): number {
    return this.socket.destroyed ? 0 : this.handle.writeQueueSize
  }

  write(bytes: Buffer): boolean {
    if (this.socket.destroyed) return true
    const request = this.nextRequest()
    return this.settle(this.handle.writeBuffer(request, bytes), request, bytes)
  }

  writeBoth(first: Buffer, second: Buffer): boolean {
    if (this.socket.destroyed) return true
    const request = this.nextRequest()
    const pieces = [first, second]
    return this.settle(this.handle.writev(request, pieces, true), request, pieces)
  }

  private nextRequest(): WriteRequest {
    return (DirectWriter.request ??= new this.Request())
  }

  private settle(status: number, request: WriteRequest, pieces: unknown): boolean {
    if (status !== 0) {
      this.fail(status)
      return true
    }
    if (this.handle.writeQueueSize === 0) return true
    // The handle keeps the request until the bytes are gone.
    DirectWriter.request = undefined
    request.buffer = pieces
    request.oncomplete = (outcome) => {
      request.buffer = undefined
      if (this.socket.destroyed) return
      if (outcome < 0) this.fail(outcome)
      else if (this.handle.writeQueueSize === 0) this.onDrained()
    }
    return false
  }

  private fail(status: number): void {
    this.socket.destroy(new Error(`the socket could not be written to (${status})`))
  }
}

const Request = findRequest()

/** The class of Node's write requests, as a write on a socket shows it. */
function findRequest(): (new () => WriteRequest) | undefined {
  let found: { readonly name: string } | undefined
  const nothing = (): number => 0
  const handle = {
    readStart: nothing,
    readStop: nothing,
    getAsyncId: nothing,
    close: (done: (() => void) | undefined) => done?.(),
    writeBuffer: (request: { readonly constructor: { readonly name: string } }) => {
      found = request.constructor
      return 0
    },
  }
  try {
    const sample = new Socket({ handle } as object)
    sample.on('error', nothing)
    sample.write(Buffer.alloc(1))
    sample.destroy()
  } catch {
    return undefined
  }
  return found?.name === 'WriteWrap' ? (found as new () => WriteRequest) : undefined
}
