import type { Addressees, NodeListener, NodeQuestion } from '../../contract/cluster.js'
import { isStoreRefusal } from '../../contract/errors.js'
import type { BusEvents } from '../../contract/events.js'
import type { Message } from '../../contract/message.js'
import { Entry, type EntryItems } from './entry.js'
import type { Outgoing } from './outgoing.js'
import type { Questions } from './questions.js'
import type { RemoteInterest } from './remote-interest.js'
import type { Senders } from './senders.js'

/** Another node: what is for it, and what it wants. */
export interface Peer {
  readonly outgoing: Outgoing
  readonly interest: RemoteInterest
}

export interface IncomingParts {
  readonly senders: Senders
  readonly questions: Questions
  readonly peers: ReadonlyMap<string, Peer>
  /** The other node; met now, unless it has left or is nobody. */
  readonly meet: (node: string) => Peer | undefined
  readonly events: BusEvents
  /** The listener threw. */
  readonly onDefect: (error: unknown) => void
}

/** Hands out what other nodes send, and tells what of it is lost. */
export class Incoming {
  listener: NodeListener | undefined
  /** Whose entry is being read. */
  private sender = ''
  private readonly items: EntryItems

  constructor(private readonly parts: IncomingParts) {
    const { peers, questions } = parts
    this.items = {
      message: (message, addressees) => this.received(message, addressees),
      interest: (change) => peers.get(this.sender)?.interest.told(change),
      question: (id, question) => void this.reply(this.sender, id, question),
      answer: (id) => questions.answered(this.sender, id),
    }
  }

  /** An entry as it was read from the stream of this node. Does not throw. */
  arrived(bytes: Buffer): void {
    const { senders, meet, events } = this.parts
    let entry: Entry
    try {
      entry = new Entry(bytes)
    } catch (error) {
      this.damaged(error)
      this.missed(undefined)
      return
    }
    const { sender } = entry
    const arrival = senders.arrived(sender, entry.number)
    if (arrival === 'duplicate') return
    if (arrival === 'gap') this.missed(sender)
    meet(sender)
    this.sender = sender
    try {
      events.entryRead(entry.read(this.items), bytes.length)
    } catch (error) {
      this.damaged(error)
      this.missed(sender)
    }
  }

  /** Entries of the node, or of all, are lost. */
  missed(node: string | undefined): void {
    const { peers, events, onDefect } = this.parts
    events.busEntriesMissed(node)
    if (node === undefined) for (const { interest } of peers.values()) interest.missed()
    else peers.get(node)?.interest.missed()
    try {
      this.listener?.missed(node)
    } catch (error) {
      onDefect(error)
    }
  }

  private received(message: Message, addressees: Addressees): void {
    try {
      this.listener?.message(this.sender, message, addressees)
    } catch (error) {
      this.parts.onDefect(error)
    }
  }

  private async reply(from: string, id: number, question: NodeQuestion): Promise<void> {
    const { peers, meet, onDefect } = this.parts
    try {
      if (question.kind === 'caught-up') await peers.get(from)?.interest.takingIn
      await this.listener?.asked(from, question)
      meet(from)?.outgoing.answer(id)
    } catch (error) {
      // Then there is no answer.
      if (!isStoreRefusal(error)) onDefect(error)
    }
  }

  private damaged(error: unknown): void {
    this.parts.events.busEntryDamaged(error instanceof Error ? error : new Error(String(error)))
  }
}
