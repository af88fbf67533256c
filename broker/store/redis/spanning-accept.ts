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
 * 1. its intent is written where the publisher's session is (or by its uid), the QoS 2 identifier with it;
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
  done: (
    error: GatewayError | undefined,
    failure: string | undefined,
    sequences: readonly (number | undefined)[],
  ) => void,
): void {
  const uid = plan.message[0]
  const home = plan.incoming === false ? host.partitionOf(uid) : host.partitionOf(plan.incoming[0])
  const shares = split(host, plan)
  const sequences = Array.from<number | undefined>({ length: plan.recipients.length / 2 })
  let refused: GatewayError | undefined
  let failure: string | undefined
  let intended = false
  let missing = shares.size

  const shareDone = (): void => {
    if (--missing > 0) return
    done(refused, failure, sequences)
    if (refused === undefined && intended) forgetIntent(host, plan, home, [...shares.keys()])
  }
  const enlists: (readonly [Partition, Operation])[] = []
  // The intent stands before its shares in every line.
  host.partition(home).add({
    packed: operations.intend(uid, encodePlan(plan), plan.incoming),
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
        place(sequences, share.places, result)
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
  const home =
    plan.incoming === false ? host.partitionOf(plan.message[0]) : host.partitionOf(plan.incoming[0])
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

function place(sequences: (number | undefined)[], places: readonly number[], result: Unpacked): void {
  if (!Array.isArray(result)) return
  for (const [i, sequence] of (result as readonly Unpacked[]).entries())
    if (typeof sequence === 'number') sequences[places[i] ?? 0] = sequence
}

function encodePlan({ message, recipients, change, incoming }: AcceptPlan): Buffer {
  return pack([message, recipients, change, incoming])
}

function decodePlan(bytes: Buffer): AcceptPlan {
  const [message, recipients, change, incoming] = unpack(bytes) as [
    [Buffer, Buffer, number, number | false, number | false],
    Buffer[],
    [Buffer, Buffer | false, number, number | false] | false,
    [Buffer, number, number] | false,
  ]
  const [uid, body, size, expiresAt, lifetime] = message
  return {
    message: [uid.toString(), body, size, expiresAt, lifetime],
    recipients,
    change: change === false ? false : [change[0].toString(), change[1], change[2], change[3]],
    incoming: incoming === false ? false : [incoming[0].toString(), incoming[1], incoming[2]],
  }
}

/** What takes the place of a share whose accept was refused. */
const NOTHING_TO_DO: Partial<Operation> = { packed: operations.unmark('-'), clients: [] }
