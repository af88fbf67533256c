import type { z } from 'zod'
import type { Clock } from './clock.js'
import type { BrokerLink } from './port.js'

/**
 * What a pipeline is built of. A connector is one declaration: its name, the schema of its settings (whose
 * `describe` texts are its reference page), and a constructor. `bridges/connectors.ts` lists them all.
 *
 *     source -> decode -> transforms -> window -> encode -> sink
 *
 * The runtime calls the members of one pipeline's connectors one at a time, in the order of the records; a
 * connector needs no locks. Reading waits for writing: while a sink is slow or away nothing more is read, and the
 * source's own bound decides what happens then. That is the whole of back-pressure.
 *
 * Who retries: the runtime, for `open` and `write`, with growing, jittered delays. A connector never sleeps.
 *
 * Errors steer by their class. `Rejected`: this record can never pass; it is dropped, counted by its reason and
 * settled. `Retryable`: try the same again later. Anything else is a defect: in a stage that works on one record it
 * costs that record (reason `failed`), elsewhere it is treated as `Retryable`. Nothing stops a pipeline but its end.
 */
export interface BridgeRecord {
  /** Where the record comes from: for MQTT the topic name. */
  readonly topic: string
  /** What the pattern of the source found in the topic, by name; a window narrows it to its group and adds `window`. */
  readonly captures: Captures
  /** As received; after `encode` as it goes out. */
  payload: Uint8Array
  /** Undefined until decoded. Belongs to this record: stages may change it in place. */
  value: unknown
  /** Milliseconds since the epoch, by the clock of whoever made the reading. Until a stage knows better: `receivedAt`. */
  eventTime: number
  /** Milliseconds since the epoch, by our clock. */
  readonly receivedAt: number
  /**
   * Inputs that are settled when this record has left the pipeline: written, dropped or filtered. Ascending. Empty
   * when the source has nothing to settle (QoS 0).
   */
  readonly tokens: readonly number[]
}

export type Captures = Readonly<Record<string, string>>

export interface Source {
  /** Connects; may be called again after a `Retryable`. */
  open(): Promise<void>
  /**
   * The next records, in order, at least one; waits for them. Undefined: stopped, and everything was read. Called
   * again only after the former call has resolved.
   */
  read(): Promise<readonly BridgeRecord[] | undefined>
  /**
   * Everything up to and including this token is done with. Tokens are consecutive numbers, so that one call
   * settles many inputs. What was never settled comes again after a restart, where the origin can do that.
   */
  settle(token: number): void
  /** Inputs that may be unsettled at a time without holding up the ones behind them. */
  readonly maxUnsettled: number
  /** Inputs so far that were dropped since what had arrived before was not read in time. */
  readonly dropped: number
  /** Nothing more is taken in; `read` gives what has arrived, then undefined. */
  stop(): void
  /** Lets go of everything; a pending `open` or `read` ends. Idempotent. */
  close(): Promise<void>
}

export interface Decoder {
  /** Throws `Rejected` when the payload is not of this format. */
  decode(payload: Uint8Array): unknown
}

export interface Encoder {
  encode(value: unknown): Uint8Array
}

export interface Transform {
  /**
   * Emits what becomes of the record, in order: itself, others made from it (with its `tokens`), or nothing, which
   * filters it out. Throws `Rejected`.
   */
  apply(record: BridgeRecord, emit: (record: BridgeRecord) => void): void
}

/**
 * Collects records and gives out results. A result carries the tokens of all that went into it: inputs are settled
 * when the result has been published, not when the window has seen them.
 */
export interface Window {
  /**
   * Takes a record in and says how many results will carry its tokens, at least one. Throws `Rejected` when none
   * will. The window keeps nothing of the record but its numbers, captures and tokens.
   */
  add(record: BridgeRecord): number
  /** Results of windows that have closed by `now` (milliseconds since the epoch), ordered by their end. */
  advance(now: number): readonly WindowResult[]
  /** Closes everything that is open, as results marked `partial`. */
  flush(now: number): readonly WindowResult[]
  /** Tokens below this one have been settled early: there is no need to keep them. */
  forget(below: number): void
  /** Groups that are remembered. */
  readonly groups: number
  /** Records so far that came too late for one of their windows and in time for another. */
  readonly partlyLate: number
}

export interface WindowResult extends BridgeRecord {
  /** End of the window, event time in milliseconds since the epoch, exclusive. */
  readonly windowEnd: number
}

export interface Sink {
  /** Connects; may be called again after a `Retryable`. */
  open(): Promise<void>
  /**
   * Writes the records in order and resolves when the receiving system has taken responsibility for all of them. On
   * `Retryable` the runtime calls again with the same records, so a receiver may see some twice. On `Rejected` it
   * writes them one by one to find the one that is meant.
   */
  write(records: readonly BridgeRecord[]): Promise<void>
  /**
   * After the last write. Lets go of everything; a pending `open` or `write` ends. It may still send what is better
   * sent; called a second time it does not wait for that any more.
   */
  close(): Promise<void>
}

export class Rejected extends Error {
  override readonly name = 'Rejected'

  constructor(
    readonly reason: RecordDropReason,
    /** In words; never holds any of the payload. */
    detail: string,
  ) {
    super(detail)
  }
}

export class Retryable extends Error {
  override readonly name = 'Retryable'

  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
  }
}

export const recordDropReasons = [
  'overflow', // arrived faster than the pipeline read, QoS 0 (inside a gateway: `bridge_overflow` of the broker)
  'undecodable', // the payload is not of the declared format
  'no_number', // the field to aggregate or scale is missing, not a number, or beyond 1e150
  'no_time', // the time field is missing or not a time
  'time_ahead', // farther in the future than `maxAhead`
  'time_behind', // farther in the past than `maxBehind`
  'late', // a window that it belongs to has closed already
  'too_many_groups', // `maxGroups` groups are open
  'no_field', // a transform needs a field that is not there
  'bad_topic', // the topic template gives no valid topic name
  'refused', // the receiving system will never take it
  'gave_up', // retried for as long as the settings say
  'stopped', // the pipeline ended before the receiving system could be reached
  'failed', // a defect in a stage; the log has it
] as const

export type RecordDropReason = (typeof recordDropReasons)[number]

/** What a connector is given besides its settings. */
export interface ConnectorContext {
  /** Name of the pipeline. */
  readonly pipeline: string
  readonly clock: Clock
  /** 0 to below 1. */
  readonly random: () => number
  /**
   * The broker that the pipelines belong to, or, with a target, another one. Each call makes a link that the
   * connector owns and closes.
   */
  link(end: PipelineEnd, target: BrokerTarget | undefined): BrokerLink
}

/** A broker that a connector names itself. */
export interface BrokerTarget {
  /** `mqtt://`, `mqtts://`, `ws://` or `wss://`. */
  readonly url: string
  readonly username: string | undefined
  readonly password: string | undefined
  /** Undefined: made from the pipeline's name. */
  readonly clientId: string | undefined
}

/** Which end of a pipeline a link is for: two ends of one pipeline are two clients of a broker. */
export type PipelineEnd = 'source' | 'sink'

interface Declaration<Schema extends z.ZodObject> {
  /** Value of `type` in the settings. */
  readonly name: string
  /** One sentence for the reference. */
  readonly summary: string
  /** A strict object with `type: z.literal(name)`. */
  readonly schema: Schema
  /** Paragraphs for the reference that belong to no single key. */
  readonly notes?: readonly string[]
}

/** Something wrong between settings that are each sound alone. */
export interface SettingFault {
  /** Keys below the connector's own section. */
  readonly path: readonly (string | number)[]
  /** What may be there, as a phrase. */
  readonly allowed: string
}

export interface SourceDeclaration<Schema extends z.ZodObject = z.ZodObject> extends Declaration<Schema> {
  /** Names of the captures that its records carry. */
  captures(settings: z.output<Schema>): readonly string[]
  /** Topic filter on the pipelines' own broker that it reads, if it reads there. */
  reads?(settings: z.output<Schema>): string | undefined
  create(settings: z.output<Schema>, context: ConnectorContext): Source
}

export interface SinkDeclaration<Schema extends z.ZodObject = z.ZodObject> extends Declaration<Schema> {
  /** Checks the settings against the captures that reach the sink. */
  check(settings: z.output<Schema>, captures: readonly string[]): readonly SettingFault[]
  /** Topic filters on the pipelines' own broker that cover what it publishes there. */
  publishes?(settings: z.output<Schema>): readonly string[]
  create(settings: z.output<Schema>, context: ConnectorContext): Sink
}

export interface CodecDeclaration<Schema extends z.ZodObject = z.ZodObject> extends Declaration<Schema> {
  create(settings: z.output<Schema>): Decoder & Encoder
}

export interface TransformDeclaration<Schema extends z.ZodObject = z.ZodObject> extends Declaration<Schema> {
  check?(settings: z.output<Schema>, captures: readonly string[]): readonly SettingFault[]
  create(settings: z.output<Schema>): Transform
}

export interface WindowDeclaration<Schema extends z.ZodObject = z.ZodObject> extends Declaration<Schema> {
  check(settings: z.output<Schema>, captures: readonly string[]): readonly SettingFault[]
  /** Names of the captures that its results carry. */
  captures(settings: z.output<Schema>): readonly string[]
  create(settings: z.output<Schema>, context: Pick<ConnectorContext, 'clock'>): Window
}
