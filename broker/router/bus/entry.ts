import type { Addressees, NodeQuestion, QueuedPlace } from '../../contract/cluster.js'
import { qosOf } from '../../contract/message-bytes.js'
import type { Message } from '../../contract/message.js'
import type { Delivery } from '../../contract/subscription.js'
import { DamagedEntry, EntryReader, type EntryWriter } from './entry-bytes.js'
import { readBody } from './message-body.js'

/**
 * What is in an entry: the name of its sender, its number among those of that sender for that receiver, then items
 * in the order in which they were handed over.
 *
 * | item     | fields                                                                                       |
 * | -------- | -------------------------------------------------------------------------------------------- |
 * | message  | body, then whom it is for until `END`: everybody, a share group, a place in a queue          |
 * | interest | version that the changes build upon, version with them, number of changes, filter and members |
 * | question | id, kind, fields of the kind                                                                  |
 * | answer   | id of the question                                                                            |
 */
export interface EntryItems {
  message(message: Message, addressees: Addressees): void
  interest(change: InterestChange): void
  question(id: number, question: NodeQuestion): void
  answer(id: number): void
}

/**
 * Changes of what a node wants, each with the state that it leads to, so that what is applied twice does no harm.
 * Without changes it says which version is the current one.
 */
export interface InterestChange {
  /** Whoever has this version, or a later one, may apply the changes. */
  readonly base: number
  readonly version: number
  /** `members`: 0: wanted no more; of a share group how many there are, else 1. */
  readonly wanted: readonly (readonly [filter: string, members: number])[]
}

const MESSAGE = 1
const INTEREST = 2
const QUESTION = 3
const ANSWER = 4

const END = 0
const ALL = 1
const SHARED = 2
const QUEUED = 3

const TAKEOVER = 1
const CAUGHT_UP = 2

const RETAIN = 0x04
const HAS_IDENTIFIERS = 0x08
const HAS_SHARED_FILTER = 0x10

export function writeHead(writer: EntryWriter, sender: string, number: number): void {
  writer.start().text(sender).number(number)
}

/** Addressees follow, then `endMessage`. */
export function beginMessage(writer: EntryWriter, body: Buffer): void {
  writer.byte(MESSAGE).raw(body)
}

export function toAll(writer: EntryWriter): void {
  writer.byte(ALL)
}

export function toShared(writer: EntryWriter, sharedFilter: string): void {
  writer.byte(SHARED).text(sharedFilter)
}

export function toQueued(writer: EntryWriter, { clientId, sequence, delivery }: QueuedPlace): void {
  const { qos, retain, identifiers, sharedFilter } = delivery
  writer
    .byte(QUEUED)
    .text(clientId)
    .number(sequence)
    .byte(
      qos |
        (retain ? RETAIN : 0) |
        (identifiers.length > 0 ? HAS_IDENTIFIERS : 0) |
        (sharedFilter === undefined ? 0 : HAS_SHARED_FILTER),
    )
  if (identifiers.length > 0) {
    writer.number(identifiers.length)
    for (const identifier of identifiers) writer.number(identifier)
  }
  if (sharedFilter !== undefined) writer.text(sharedFilter)
}

export function endMessage(writer: EntryWriter): void {
  writer.byte(END)
}

export function writeInterest(writer: EntryWriter, { base, version, wanted }: InterestChange): void {
  writer.byte(INTEREST).number(base).number(version).number(wanted.length)
  for (const [filter, members] of wanted) writer.text(filter).number(members)
}

export function writeQuestion(writer: EntryWriter, id: number, question: NodeQuestion): void {
  writer.byte(QUESTION).number(id)
  switch (question.kind) {
    case 'takeover':
      writer
        .byte(TAKEOVER)
        .text(question.clientId)
        .number(question.epoch)
        .byte(question.sessionEnds ? 1 : 0)
      break
    case 'caught-up':
      writer.byte(CAUGHT_UP)
      break
  }
}

export function writeAnswer(writer: EntryWriter, id: number): void {
  writer.byte(ANSWER).number(id)
}

/** An entry of which the checksum is right and the head has been read. */
export class Entry {
  readonly sender: string
  readonly number: number
  private readonly reader: EntryReader

  /** Throws `DamagedEntry`. */
  constructor(bytes: Buffer) {
    this.reader = new EntryReader(bytes)
    this.sender = this.reader.text()
    this.number = this.reader.number()
  }

  /** Hands out the items one by one, and returns how many there were. Throws `DamagedEntry`. */
  read(items: EntryItems): number {
    const { reader } = this
    let count = 0
    for (; !reader.done; count++) {
      const kind = reader.byte()
      switch (kind) {
        case MESSAGE: {
          const message = readBody(reader)
          items.message(message, readAddressees(reader))
          break
        }
        case INTEREST:
          items.interest(readInterest(reader))
          break
        case QUESTION:
          items.question(reader.number(), readQuestion(reader))
          break
        case ANSWER:
          items.answer(reader.number())
          break
        default:
          throw new DamagedEntry(`an item of kind ${kind}`)
      }
    }
    return count
  }
}

const NOBODY: readonly never[] = []
/** What nearly every message has: one object for all of them. */
const EVERYBODY: Addressees = { all: true, sharedFilters: NOBODY, queued: NOBODY }

function readAddressees(reader: EntryReader): Addressees {
  let all = false
  let sharedFilters: string[] | undefined
  let queued: QueuedPlace[] | undefined
  for (;;) {
    const tag = reader.byte()
    if (tag === END) break
    else if (tag === ALL) all = true
    else if (tag === SHARED) (sharedFilters ??= []).push(reader.text())
    else if (tag === QUEUED) (queued ??= []).push(readPlace(reader))
    else throw new DamagedEntry(`an addressee of kind ${tag}`)
  }
  if (all && sharedFilters === undefined && queued === undefined) return EVERYBODY
  return { all, sharedFilters: sharedFilters ?? NOBODY, queued: queued ?? NOBODY }
}

function readPlace(reader: EntryReader): QueuedPlace {
  const clientId = reader.text()
  const sequence = reader.number()
  return { clientId, sequence, delivery: readDelivery(reader) }
}

function readDelivery(reader: EntryReader): Delivery {
  const flags = reader.byte()
  return {
    qos: qosOf(flags, reader),
    retain: (flags & RETAIN) !== 0,
    identifiers: (flags & HAS_IDENTIFIERS) === 0 ? NOBODY : readIdentifiers(reader),
    sharedFilter: (flags & HAS_SHARED_FILTER) === 0 ? undefined : reader.text(),
  }
}

function readIdentifiers(reader: EntryReader): readonly number[] {
  const count = reader.number()
  const identifiers: number[] = []
  for (let i = 0; i < count; i++) identifiers.push(reader.number())
  return identifiers
}

function readInterest(reader: EntryReader): InterestChange {
  const base = reader.number()
  const version = reader.number()
  const count = reader.number()
  const wanted: [string, number][] = []
  for (let i = 0; i < count; i++) wanted.push([reader.text(), reader.number()])
  return { base, version, wanted }
}

function readQuestion(reader: EntryReader): NodeQuestion {
  const kind = reader.byte()
  if (kind === CAUGHT_UP) return { kind: 'caught-up' }
  if (kind !== TAKEOVER) throw new DamagedEntry(`a question of kind ${kind}`)
  return {
    kind: 'takeover',
    clientId: reader.text(),
    epoch: reader.number(),
    sessionEnds: reader.byte() !== 0,
  }
}
