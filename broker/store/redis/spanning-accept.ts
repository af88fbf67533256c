import type { GatewayError } from '../../contract/errors.js'
import { errorIn, type Operation, type Partition } from './partition.js'
import { pack, unpack, type Unpacked } from './message-pack.js'
import { operations, type Incoming, type QueuedMessage, type RetainedChange } from './operations.js'

/** What is to be done of an accept, whole: what its intent holds. */
export interface AcceptPlan {
  readonly message: QueuedMessage
  /** Client id and encoded delivery in turns. */
  readonly recipients: readonly (string | Buffer)[]
  readonly change: RetainedChange | false
  readonly incoming: Incoming | false
  /** Client id of the will that the message is. */
  readonly will: string | false
}

/** What came of the queuing: sequence numbers and owners, as `AcceptDone` has them. */
export interface Queued {
  readonly sequences: readonly (number | undefined)[]
  readonly owners: readonly (string | undefined)[] | undefined
}

/** The share of one partition. */
interface Share {
  readonly recipients: (string | Buffer)[]
  readonly clients: string[]
  /** Places of the recipients in the order of the call. */
  readonly places: number[]
  change: RetainedChange | false
}

export interface SpanningHost {
  partition(index: number): Partition
  partitionOf(name: string): number
}

/**
 * An accept that concerns several partitions of a Cluster, which no script can write together:
 *
 * 1. its intent is written where the publisher's session is, the QoS 2 identifier with it; where its will was, which is
 *    removed with it; or by its uid;
 * 2. each partition queues its share, once, however often it is asked for;
 * 3. the publisher is answered, and the intent removed.
 *
 * Who dies between 1 and 3 leaves the intent behind: whoever opens the publisher's session or takes over from the
 * node does step 2 again. Shares keep their places in the lines of their partitions while step 1 is under way, so
 * that queues keep the order of the calls; an accept waits only for earlier ones, and so none waits for ever.
 */
export function acceptSpanning(
  host: SpanningHost,
  plan: AcceptPlan,
  done: (error: GatewayError | undefined, failure: string | undefined, queued: Queued) => void,
): void {
  const uid = plan.message[0]
  const home = homeOf(host, plan)
  const shares = split(host, plan)
  const places = new Places(plan.recipients.length / 2)
  let refused: GatewayError | undefined
  let failure: string | undefined
  let intended = false
  let missing = shares.size

  const shareDone = (): void => {
    if (--missing > 0) return
    done(refused, failure, places)
    if (refused === undefined && intended) forgetIntent(host, plan, home, [...shares.keys()])
  }
  const enlists: (readonly [Partition, Operation])[] = []
  // The intent stands before its shares in every line.
  host.partition(home).add({
    packed: operations.intend(uid, encodePlan(plan), plan.incoming, plan.will),
    clients: [],
    ready: true,
    done(error, result) {
      refused = error
      failure = errorIn(result)
      intended = refused === undefined && failure === undefined
      for (const [partition, operation] of enlists) {
        if (!intended) Object.assign(operation, NOTHING_TO_DO)
        partition.release(operation)
      }
    },
  })
  for (const [index, share] of shares) {
    const partition = host.partition(index)
    const operation: Operation = {
      packed: operations.enlist(plan.message, share.recipients, share.change),
      clients: share.clients,
      ready: false,
      insists: true,
      done(error, result) {
        refused ??= error
        failure ??= errorIn(result)
        places.fill(share.places, queuedOf(result))
        shareDone()
      },
    }
    enlists.push([partition, operation])
    partition.add(operation)
  }
}

/** Does again what an intent asks for. Resolves when it is done; rejects when Redis is not to be written to. */
export function finishIntent(host: SpanningHost, intent: Buffer): Promise<void> {
  const plan = decodePlan(intent)
  const home = homeOf(host, plan)
  const shares = [...split(host, plan)].map(
    ([index, share]) =>
      new Promise<void>((resolve, reject) => {
        host.partition(index).addFirst({
          packed: operations.enlist(plan.message, share.recipients, share.change),
          clients: share.clients,
          ready: true,
          insists: true,
          done: (error) => (error === undefined ? resolve() : reject(error)),
        })
      }),
  )
  return Promise.all(shares).then(
    () =>
      new Promise((resolve, reject) => {
        host.partition(home).addFirst({
          packed: operations.accepted(plan.message[0], origin(plan)),
          clients: [],
          ready: true,
          // The marks stay for their ten minutes: the node that began may still be at it.
          done: (error) => (error === undefined ? resolve() : reject(error)),
        })
      }),
  )
}

function forgetIntent(
  host: SpanningHost,
  plan: AcceptPlan,
  home: number,
  partitions: readonly number[],
): void {
  const uid = plan.message[0]
  host.partition(home).addFirst({
    packed: operations.accepted(uid, origin(plan)),
    clients: [],
    ready: true,
    done(error, result) {
      // In other hands meanwhile: they may still need the marks.
      if (error !== undefined || result !== true) return
      for (const index of partitions)
        host
          .partition(index)
          .addFirst({ packed: operations.unmark(uid), clients: [], ready: true, done: () => {} })
    },
  })
}

function origin({ incoming }: AcceptPlan): readonly [clientId: string, packetId: number] | false {
  return incoming === false ? false : [incoming[0], incoming[2]]
}

function split(host: SpanningHost, { recipients, change }: AcceptPlan): ReadonlyMap<number, Share> {
  const shares = new Map<number, Share>()
  const shareOf = (index: number): Share => {
    let share = shares.get(index)
    if (share === undefined)
      shares.set(index, (share = { recipients: [], clients: [], places: [], change: false }))
    return share
  }
  for (let i = 0; i + 1 < recipients.length; i += 2) {
    const clientId = String(recipients[i])
    const share = shareOf(host.partitionOf(clientId))
    share.recipients.push(clientId, recipients[i + 1] ?? '')
    share.clients.push(clientId)
    share.places.push(i / 2)
  }
  if (change !== false) shareOf(host.partitionOf(change[0])).change = change
  return shares
}

/** Where the intent of an accept is. */
function homeOf(host: SpanningHost, { message, incoming, will }: AcceptPlan): number {
  if (incoming !== false) return host.partitionOf(incoming[0])
  return host.partitionOf(will === false ? message[0] : will)
}

/** What the shares came to, in the order of the call. */
class Places implements Queued {
  readonly sequences: (number | undefined)[]
  owners: (string | undefined)[] | undefined

  constructor(private readonly length: number) {
    this.sequences = Array.from({ length })
  }

  fill(places: readonly number[], { sequences, owners }: Queued): void {
    for (const [i, sequence] of sequences.entries()) this.sequences[places[i] ?? 0] = sequence
    if (owners === undefined) return
    this.owners ??= Array.from({ length: this.length })
    for (const [i, owner] of owners.entries()) this.owners[places[i] ?? 0] = owner
  }
}

export const NOTHING_QUEUED: Queued = { sequences: [], owners: undefined }

/** What `accept` and `enlist` of the script return. */
export function queuedOf(result: Unpacked): Queued {
  if (!Array.isArray(result)) return NOTHING_QUEUED
  const [numbers, owned] = result as [readonly Unpacked[], false | OwnersFound]
  const sequences = numbers.map((sequence) => (typeof sequence === 'number' ? sequence : undefined))
  if (owned === false) return { sequences, owners: undefined }
  const names = owned[0].map(String)
  return { sequences, owners: owned[1].map((place) => names[place - 1]) }
}

/** The names of the owners, and for each receiver the place of one of them, from 1; 0: nobody elsewhere. */
type OwnersFound = readonly [names: readonly Buffer[], places: readonly number[]]

function encodePlan({ message, recipients, change, incoming, will }: AcceptPlan): Buffer {
  return pack([message, recipients, change, incoming, will])
}

function decodePlan(bytes: Buffer): AcceptPlan {
  const [message, recipients, change, incoming, will] = unpack(bytes) as [
    [Buffer, Buffer, number, number | false, number | false],
    Buffer[],
    [Buffer, Buffer | false, number, number | false] | false,
    [Buffer, number, number] | false,
    Buffer | false,
  ]
  const [uid, body, size, expiresAt, lifetime] = message
  return {
    message: [uid.toString(), body, size, expiresAt, lifetime],
    recipients,
    change: change === false ? false : [change[0].toString(), change[1], change[2], change[3]],
    incoming: incoming === false ? false : [incoming[0].toString(), incoming[1], incoming[2]],
    will: will === false ? false : will.toString(),
  }
}

/** What takes the place of a share whose accept was refused. */
const NOTHING_TO_DO: Partial<Operation> = { packed: operations.unmark('-'), clients: [] }
