import { readMessage, writeMessage } from '../../contract/message-bytes.js'
import type { Message } from '../../contract/message.js'
import { EntryWriter, type EntryReader } from './entry-bytes.js'

/** Messages as they stand in entries: written once, however many nodes want them. */
export class MessageBodies {
  private readonly writer = new EntryWriter()
  private message: Message | undefined = undefined

  /** A view, valid until the next call. */
  of(message: Message): Buffer {
    if (this.message !== message) {
      this.message = message
      writeMessage(this.writer.start(), message)
    }
    return this.writer.fields()
  }

  /** Lets go of the message that was written last. */
  forget(): void {
    this.message = undefined
  }
}

/**
 * The payload is a view of the entry at QoS 0, where nobody keeps it; above it has memory of its own, or a receiver
 * that is slow to acknowledge would hold on to all that was read together with it.
 */
export function readBody(reader: EntryReader): Message {
  const message = readMessage(reader)
  return message.qos === 0 ? message : message.own()
}
