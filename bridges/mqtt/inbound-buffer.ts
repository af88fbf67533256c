import type { InboundMessage } from '../../broker/contract/port.js'

/** Messages between the connection that brings them and the pipeline that reads them. Its user keeps it bounded. */
export class InboundBuffer {
  private messages: InboundMessage[] = []
  private waitingBytes = 0
  private ended = false
  private reader: ((messages: readonly InboundMessage[] | undefined) => void) | undefined

  /** `taken` hears what a read has taken out. */
  constructor(private readonly taken: (messages: number, bytes: number) => void) {}

  get length(): number {
    return this.messages.length
  }

  get bytes(): number {
    return this.waitingBytes
  }

  read(): Promise<readonly InboundMessage[] | undefined> {
    if (this.messages.length > 0) return Promise.resolve(this.takeAll())
    if (this.ended) return Promise.resolve(undefined)
    return new Promise((resolve) => (this.reader = resolve))
  }

  push(message: InboundMessage): void {
    if (this.ended) return
    this.messages.push(message)
    this.waitingBytes += sizeOf(message)
    // At the end of the tick, with everything else that it has brought.
    if (this.messages.length === 1 && this.reader !== undefined)
      queueMicrotask(() => {
        this.handOver()
      })
  }

  /** Nothing more comes in; what is there can still be read. */
  end(): void {
    this.ended = true
    this.handOver()
  }

  private handOver(): void {
    const reader = this.reader
    if (reader === undefined) return
    if (this.messages.length === 0 && !this.ended) return
    this.reader = undefined
    reader(this.messages.length === 0 ? undefined : this.takeAll())
  }

  private takeAll(): readonly InboundMessage[] {
    const { messages, waitingBytes } = this
    this.messages = []
    this.waitingBytes = 0
    this.taken(messages.length, waitingBytes)
    return messages
  }
}

/** What a message costs against a bound; both ends of a port count it alike. */
function sizeOf({ topic, payload }: InboundMessage): number {
  return topic.length + payload.length
}
