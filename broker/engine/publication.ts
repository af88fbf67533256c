import type { StoredSession } from '../contract/store.js'
import type { GatewayError } from '../contract/errors.js'
import type { Message } from '../contract/message.js'
import type { Route, Target } from '../contract/router.js'
import type { LineEntry, OriginLine } from './origin-line.js'

export type IncomingIdentifier = { readonly session: StoredSession; readonly packetId: number }

/**
 * One message on its way through the pipeline: what the steps hand on to each other beside the packet. All fields
 * are set here, so that every publication has one hidden class.
 */
export class Publication implements LineEntry {
  /** Made when the message is stored, or at the latest when it is emitted: both see the same subscribers. */
  route: Route | undefined = undefined
  /** Targets whose sessions were to queue the message, in the order of the route, with the places they got. */
  queuedFor: readonly Target[] = NOBODY
  sequences: readonly (number | undefined)[] = NOTHING
  /** The other nodes that had them open, in the same order; undefined: none of them. */
  owners: readonly (string | undefined)[] | undefined = undefined
  /** Sessions and handlers that the message was for. */
  matched = 0
  /** Why the message may not be published at all. */
  refusal: GatewayError | undefined = undefined

  /** Its emission has begun. */
  emitted = false
  error: GatewayError | undefined = undefined

  next: LineEntry | undefined = undefined
  waitingEmission: (() => void) | undefined = undefined
  passed = false
  finished = false
  bounded = false

  constructor(
    readonly message: Message,
    readonly incoming: IncomingIdentifier | undefined,
    /** Undefined for notices of Aedes itself, which keep no order with anything. */
    readonly line: OriginLine | undefined,
    /** Undefined where Aedes calls the publisher back itself: the embedding program's `broker.publish`. */
    readonly done: ((error: GatewayError | undefined, matched: number) => void) | undefined,
    /** Client id whose stored will it is: taken from the shared store together with what is stored of it. */
    readonly will?: string,
  ) {}
}

const NOBODY: readonly Target[] = []
const NOTHING: readonly undefined[] = []
