import { GatewayError } from '../../contract/errors.js'
import type { StoreEvents } from '../../contract/events.js'
import { sessionTaken, storeClosed } from '../failures.js'
import { CallbackLine, type Ticket } from './callback-line.js'
import type { Layout } from './layout.js'
import type { RedisLink } from './link.js'
import type { Unpacked } from './message-pack.js'
import { errorIn, type Partition } from './partition.js'
import type { SpanningHost } from './spanning-accept.js'

/** Operations and bytes that may wait, for example while Redis is away; what frees room may take twice as much. */
const MAX_WAITING_OPERATIONS = 100_000
const MAX_WAITING_BYTES = 67_108_864
/** What an operation takes in memory beside its bytes. */
const OPERATION_BYTES = 256

export interface WriteTargets {
  readonly link: RedisLink
  readonly layout: Layout
  readonly partitions: readonly Partition[]
}

export interface OneWrite {
  readonly packed: Buffer
  /** Client ids whose queues it changes; the first one is named when it fails. */
  readonly clients: readonly string[]
  /** Whether it gives room back: then it finds a place when others get `STORE_BUSY`. */
  readonly frees: boolean
}

/**
 * The way of every write from its call to its callback: bounded while it waits, told in the order of the calls,
 * with its failure as an error of the table.
 */
export class WriteLine implements SpanningHost {
  private readonly callbacks = new CallbackLine()
  private targets: WriteTargets | undefined
  private waitingOperations = 0
  private waitingBytes = 0

  constructor(private readonly events: StoreEvents) {}

  /** From here on writes are taken. */
  open(targets: WriteTargets): void {
    this.targets = targets
  }

  /** From here on writes fail with STORE_CLOSED. What waits goes on. */
  close(): void {
    this.targets = undefined
  }

  /** Why a write would be refused now; undefined: it would be taken. */
  refusal(frees: boolean): GatewayError | undefined {
    if (this.targets === undefined) return storeClosed()
    const room = frees ? 2 : 1
    const full =
      this.waitingOperations >= MAX_WAITING_OPERATIONS * room || this.waitingBytes >= MAX_WAITING_BYTES * room
    return full ? new GatewayError('STORE_BUSY', 'Too many writes wait for Redis.') : undefined
  }

  /** A place in the order of the calls, for what is more than one operation. */
  enter(): Ticket {
    return this.callbacks.enter()
  }

  /** Resolves when every write called before has been told its end. */
  settled(): Promise<void> {
    return this.callbacks.settled()
  }

  /** Counts so many operations and bytes as waiting, until the function that is returned is called. */
  take(operations: number, bytes: number): () => void {
    const total = bytes + operations * OPERATION_BYTES
    this.waitingOperations += operations
    this.waitingBytes += total
    return () => {
      this.waitingOperations -= operations
      this.waitingBytes -= total
    }
  }

  /** One operation, in the partition of `name`. */
  add(
    name: string,
    write: OneWrite,
    done: (error: GatewayError | undefined, result: Unpacked) => void,
  ): void {
    const partition = this.targets === undefined ? 0 : this.partitionOf(name)
    this.addTo(partition, write, done)
  }

  /** The same in a partition by its number. */
  addTo(
    index: number,
    { packed, clients, frees }: OneWrite,
    done: (error: GatewayError | undefined, result: Unpacked) => void,
  ): void {
    const ticket = this.enter()
    const refused = this.refusal(frees)
    if (refused !== undefined) {
      ticket.settle(() => done(refused, null))
      return
    }
    const release = this.take(1, packed.length)
    this.partition(index).add({
      packed,
      clients,
      ready: true,
      done: (error, result) => {
        release()
        const failure = error ?? this.failureOf(errorIn(result), clients[0] ?? '')
        ticket.settle(() => done(failure, result))
      },
    })
  }

  /** An operation on a session or a will, as a promise of its result. */
  ofClient(clientId: string, packed: Buffer): Promise<Unpacked> {
    return promise((done) => this.add(clientId, { packed, clients: [clientId], frees: false }, done))
  }

  /** An operation on a whole partition. */
  ofPartition(index: number, packed: Buffer): Promise<Unpacked> {
    return promise((done) => this.addTo(index, { packed, clients: [], frees: true }, done))
  }

  /** The same operation on every partition. */
  everywhere(packed: Buffer): Promise<readonly Unpacked[]> {
    const partitions = this.targets?.partitions ?? []
    return Promise.all(partitions.map((_, index) => this.ofPartition(index, packed)))
  }

  partitionOf(name: string): number {
    return this.whenOpen().layout.partitionOf(name)
  }

  partition(index: number): Partition {
    const partition = this.whenOpen().partitions[index]
    if (partition === undefined) throw storeClosed()
    return partition
  }

  /** The error that the script's name for it stands for. `name`: the client or topic that it is about. */
  failureOf(failed: string | undefined, name: string): GatewayError | undefined {
    switch (failed) {
      case undefined:
        return undefined
      case 'TAKEN':
        return sessionTaken(name)
      default: {
        const error = new GatewayError('STORE_DAMAGED', `A value in Redis cannot be used: ${failed}`)
        this.events.entryDamaged('stored value', name, error)
        return error
      }
    }
  }

  private whenOpen(): WriteTargets {
    if (this.targets === undefined) throw storeClosed()
    return this.targets
  }
}

function promise(
  write: (done: (error: GatewayError | undefined, result: Unpacked) => void) => void,
): Promise<Unpacked> {
  return new Promise((resolve, reject) =>
    write((error, result) => {
      if (error === undefined) resolve(result)
      else reject(error)
    }),
  )
}
