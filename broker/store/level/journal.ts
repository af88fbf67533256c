import { GatewayError } from '../../contract/errors.js'

/** One write on its way to the disk. */
export interface Write<B extends Batch> {
  /** What it takes while it waits: operations on the database, and bytes. */
  readonly operations: number
  readonly bytes: number
  /** Whether it gives room back; such writes still find a place when others get `STORE_BUSY`. */
  readonly frees?: boolean
  /** Whether it is done before it is on the disk: it waits for those called before it, and for nothing else. */
  readonly early?: boolean
  /** Adds what it changes to the batch, in the order of the calls, or says why it does not take place. */
  stage(batch: B): GatewayError | undefined
  /** Makes what it changed visible and calls back. Called once, in the order of the calls. */
  done(error: GatewayError | undefined): void
}

/** What a write may do to the database; all writes of a batch take effect together or not at all. */
export interface Batch {
  put(key: Buffer, value: Buffer): void
  del(key: Buffer): void
}

/** The store behind the journal. */
export interface Committer<B extends Batch> {
  begin(): B
  /** Writes the batch; undefined when there is nothing in it. */
  commit(batch: B): Promise<void> | undefined
  /** The batch is on the disk. Called before its writes call back. */
  committed(batch: B): void
  /** The batch is not on the disk, or nobody knows. Nothing more is staged until `resume`. */
  failed(error: unknown): GatewayError
}

/** Operations and bytes that may wait; what frees room may take twice as much. */
const MAX_WAITING_OPERATIONS = 100_000
const MAX_WAITING_BYTES = 67_108_864
/** One batch takes no more: it is built in one go, and all of it has to be written before the first one is told. */
const MAX_BATCH_OPERATIONS = 16_384
const MAX_BATCH_BYTES = 4_194_304

interface Entry<B extends Batch> {
  readonly write: Write<B>
  refused: GatewayError | undefined
  told: boolean
}

/**
 * The line of writes, committed in groups: what one tick of the event loop brings is one batch, and while it is
 * being written the next group forms. Writes are staged only when no batch is under way, so that what staging
 * reads is what is on the disk.
 */
export class Journal<B extends Batch> {
  private waiting: Entry<B>[] = []
  private waitingOperations = 0
  private waitingBytes = 0
  /** Writes that have not called back yet. */
  private untold = 0
  private writing: Entry<B>[] | undefined
  private scheduled = false
  private paused = false
  private onDrained: (() => void)[] = []
  /** While set, writes are refused with it. */
  private refusing: GatewayError | undefined

  constructor(private readonly committer: Committer<B>) {}

  /** Puts a write in line, or its refusal in its place: that is told in the order of the calls too. */
  add(write: Write<B>): void {
    this.line(write, this.refusal(write))
  }

  /** As `add`, with the refusal decided already; without one the write is taken whatever waits. */
  line(write: Write<B>, refused: GatewayError | undefined): void {
    const entry: Entry<B> = { write, refused, told: false }
    this.untold++
    if (this.untold === 1 && (refused !== undefined || write.early === true)) this.tell(entry, undefined)
    if (refused !== undefined && entry.told) return
    this.waiting.push(entry)
    if (refused === undefined) {
      this.waitingOperations += write.operations
      this.waitingBytes += write.bytes
    }
    this.schedule()
  }

  /** Resolves when every write called before has been told its end. */
  settled(): Promise<void> {
    if (this.untold === 0) return Promise.resolve()
    return new Promise((resolve) =>
      this.add({ operations: 0, bytes: 0, stage: nothing, done: () => resolve() }),
    )
  }

  /** Resolves when everything in line is on the disk or refused. */
  drained(): Promise<void> {
    if (this.idle) return Promise.resolve()
    return new Promise((resolve) => this.onDrained.push(resolve))
  }

  /** Refuses with `error` what is to come, until it is called without one. What waits stays in line. */
  refuse(error: GatewayError | undefined): void {
    this.refusing = error
  }

  /** After a failure: writes are staged again. */
  resume(): void {
    this.paused = false
    this.schedule()
  }

  /** After a failure: refuses what waits. */
  abandon(): void {
    const waiting = this.waiting
    this.clearWaiting()
    this.tellAll(waiting, this.refusing)
    this.drain()
  }

  /** Why a write would be refused now; undefined: it would be taken. */
  refusal(write: Write<B>): GatewayError | undefined {
    if (this.refusing !== undefined) return this.refusing
    const room = write.frees === true ? 2 : 1
    const full =
      this.waitingOperations >= MAX_WAITING_OPERATIONS * room || this.waitingBytes >= MAX_WAITING_BYTES * room
    return full ? new GatewayError('STORE_BUSY', 'Too many writes wait for the disk.') : undefined
  }

  private schedule(): void {
    if (this.scheduled || this.writing !== undefined || this.paused || this.waiting.length === 0) return
    this.scheduled = true
    setImmediate(() => {
      this.scheduled = false
      this.flush()
    })
  }

  private flush(): void {
    if (this.writing !== undefined || this.paused) return
    const group = this.takeGroup()
    if (group.length === 0) return
    const batch = this.committer.begin()
    for (const entry of group) entry.refused ??= entry.write.stage(batch)
    this.writing = group
    const written = this.committer.commit(batch)
    if (written === undefined) {
      this.committer.committed(batch)
      this.finished(group, undefined)
      return
    }
    written.then(
      () => {
        this.committer.committed(batch)
        this.finished(group, undefined)
      },
      (error: unknown) => {
        this.paused = true
        this.finished(group, this.committer.failed(error))
      },
    )
  }

  private finished(group: readonly Entry<B>[], error: GatewayError | undefined): void {
    this.writing = undefined
    this.schedule()
    this.tellAll(group, error)
    for (const entry of this.waiting) {
      if (entry.refused === undefined && entry.write.early !== true) break
      if (!entry.told) this.tell(entry, undefined)
    }
    this.drain()
  }

  private get idle(): boolean {
    return this.writing === undefined && this.waiting.length === 0
  }

  private drain(): void {
    if (!this.idle) return
    const resolved = this.onDrained
    this.onDrained = []
    for (const resolve of resolved) resolve()
  }

  private tellAll(entries: readonly Entry<B>[], error: GatewayError | undefined, from = 0): void {
    let i = from
    try {
      for (; i < entries.length; i++) {
        const entry = entries[i]
        if (entry?.told === false) this.tell(entry, error)
      }
    } finally {
      // What a callback throws is a defect and gets out; the others are told all the same.
      if (i < entries.length) this.tellAll(entries, error, i + 1)
    }
  }

  private tell(entry: Entry<B>, error: GatewayError | undefined): void {
    entry.told = true
    this.untold--
    entry.write.done(entry.refused ?? error)
  }

  private takeGroup(): Entry<B>[] {
    let operations = 0
    let bytes = 0
    let taken = 0
    for (const { write, refused } of this.waiting) {
      if (taken > 0 && (operations >= MAX_BATCH_OPERATIONS || bytes >= MAX_BATCH_BYTES)) break
      taken++
      if (refused !== undefined) continue
      operations += write.operations
      bytes += write.bytes
    }
    if (taken === this.waiting.length) {
      const all = this.waiting
      this.clearWaiting()
      return all
    }
    this.waitingOperations -= operations
    this.waitingBytes -= bytes
    return this.waiting.splice(0, taken)
  }

  private clearWaiting(): void {
    this.waiting = []
    this.waitingOperations = 0
    this.waitingBytes = 0
  }
}

const nothing = (): undefined => undefined
