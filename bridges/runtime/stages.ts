import {
  Rejected,
  type BridgeRecord,
  type Decoder,
  type Encoder,
  type Transform,
  type Window,
} from '../../broker/contract/connector.js'
import type { Ledger } from './ledger.js'
import type { Tally } from './tally.js'

export interface StageParts {
  readonly decoder: Decoder
  readonly transforms: readonly Transform[]
  readonly window: Window | undefined
  readonly encoder: Encoder
}

/**
 * The stages between source and sink, where a record is on its own: whatever is wrong with one costs that one. Each
 * record that a stage hands on holds its tokens; the stage lets go of the record it was given.
 */
export class Stages {
  private out: BridgeRecord[] = []
  /** One function a transform, each calling the next: made once, so that a record allocates none. */
  private readonly first: (record: BridgeRecord) => void

  constructor(
    private readonly parts: StageParts,
    private readonly ledger: Ledger,
    private readonly tally: Tally,
  ) {
    this.first = parts.transforms.reduceRight<(record: BridgeRecord) => void>(
      (next, transform) => this.transformStep(transform, next),
      (record) => {
        this.collect(record)
      },
    )
  }

  /** Takes a batch through decoding, transforms and window; returns what is to be written now. */
  process(batch: readonly BridgeRecord[]): readonly BridgeRecord[] {
    this.tally.recordsIn += batch.length
    for (const record of batch) {
      for (const token of record.tokens) this.ledger.add(token)
      this.attempt(record, this.decodeStep)
    }
    const out = this.out
    if (out.length > 0) this.out = []
    return out
  }

  /** Records with their payloads as they go out; what cannot be encoded is dropped. */
  encode(records: readonly BridgeRecord[]): readonly BridgeRecord[] {
    const encoded: BridgeRecord[] = []
    for (const record of records) {
      try {
        record.payload = this.parts.encoder.encode(record.value)
        encoded.push(record)
      } catch (error) {
        this.drop(record, error)
        this.ledger.release(record.tokens)
      }
    }
    return encoded
  }

  private readonly decodeStep = (record: BridgeRecord): void => {
    record.value = this.parts.decoder.decode(record.payload)
    this.ledger.hold(record.tokens, 1)
    this.first(record)
  }

  private transformStep(
    transform: Transform,
    next: (record: BridgeRecord) => void,
  ): (record: BridgeRecord) => void {
    let emitted = 0
    const emit = (record: BridgeRecord): void => {
      emitted++
      this.ledger.hold(record.tokens, 1)
      next(record)
    }
    const step = (record: BridgeRecord): void => {
      emitted = 0
      transform.apply(record, emit)
      if (emitted === 0) this.tally.filtered++
    }
    return (record) => {
      this.attempt(record, step)
    }
  }

  private collect(record: BridgeRecord): void {
    const { window } = this.parts
    if (window === undefined) this.out.push(record)
    else this.attempt(record, this.windowStep)
  }

  private readonly windowStep = (record: BridgeRecord): void => {
    const copies = this.parts.window?.add(record) ?? 0
    this.ledger.hold(record.tokens, copies)
  }

  /** Runs a step on a record and lets go of it; what the step has handed on holds its own. */
  private attempt(record: BridgeRecord, step: (record: BridgeRecord) => void): void {
    try {
      step(record)
    } catch (error) {
      this.drop(record, error)
    }
    this.ledger.release(record.tokens)
  }

  private drop(record: BridgeRecord, error: unknown): void {
    if (error instanceof Rejected) this.tally.drop(error.reason, record.topic, error.message)
    else this.tally.drop('failed', record.topic, error instanceof Error ? error.message : String(error))
  }
}
