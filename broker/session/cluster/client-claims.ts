import { GatewayError } from '../../contract/errors.js'
import type { SessionEvents } from '../../contract/events.js'
import type { ClientClaim } from '../../contract/store.js'
import type { Wills } from '../wills.js'
import type { ClusterLinks } from './cluster-links.js'

/**
 * How long a takeover waits for the former node, milliseconds. It answers within two round trips to Redis; one that
 * does not is gone or too busy, and the epoch keeps what it still does from counting.
 */
const PATIENCE_MS = 100

/** A CONNECT, as far as its client id is claimed for it. */
export interface ClaimedOpening<T> {
  /** Whether the connection that is here keeps the client id: nobody is left to take its place. */
  readonly formerStays: () => boolean
  /** Ends the connection that is here, if there is one. */
  readonly endFormer: () => Promise<void>
  readonly open: () => Promise<T>
}

/**
 * Client ids with a connection here. Each is claimed in the shared store, so that of all nodes one has the connection
 * [MQTT-3.1.4-3]; the epoch of the claim says which one is the latest.
 */
export class ClientClaims {
  private readonly epochs = new Map<string, number>()

  constructor(
    private readonly links: Pick<ClusterLinks, 'store' | 'bus'>,
    private readonly wills: Wills,
    private readonly events: SessionEvents,
  ) {}

  /**
   * Claims the client id, has the connections ended that this node and another one have of it, runs `open`, and sees to
   * the will that the other node has not seen to. Call with the lock of the client id held. Rejects with SESSION_TAKEN
   * when yet another node claims it meanwhile. Undefined: the connection that was here has stayed.
   */
  async whileClaimed<T extends { readonly present: boolean }>(
    clientId: string,
    sessionEnds: boolean,
    { formerStays, endFormer, open }: ClaimedOpening<T>,
  ): Promise<T | undefined> {
    // First: while Redis does not answer, whoever is connected here is better off than whoever cannot be.
    const claim = await this.links.store.claim(clientId)
    if (claim.takenFrom === undefined && formerStays()) {
      this.epochs.set(clientId, claim.epoch)
      return undefined
    }
    try {
      // Its own claim is void, and it lets go of that one.
      await endFormer().finally(() => this.epochs.set(clientId, claim.epoch))
      const answered = await this.askFormer(claim, sessionEnds)
      const opened = await open()
      const { willOf } = claim
      // Whoever answered has published its will or discarded it.
      if (willOf !== undefined && !(answered && willOf === claim.takenFrom))
        await this.wills.takeFrom(clientId, willOf, opened.present)
      return opened
    } catch (error) {
      await this.letGo(clientId)
      throw error
    }
  }

  /** The connection is gone. */
  async letGo(clientId: string): Promise<void> {
    const epoch = this.epochs.get(clientId)
    if (epoch === undefined) return
    this.epochs.delete(clientId)
    try {
      await this.links.store.yield(clientId, epoch)
    } catch (error) {
      // This node has been taken over from, and its claims with it.
      if (!isTaken(error)) throw error
    }
  }

  /** Whether the connection that is here, if there is one, was claimed before that epoch. */
  isOlder(clientId: string, epoch: number): boolean {
    return (this.epochs.get(clientId) ?? Infinity) < epoch
  }

  /** This node has been taken over from: nothing that it had claimed is its own. */
  forgetAll(): void {
    this.epochs.clear()
  }

  private async askFormer(
    { clientId, epoch, takenFrom }: ClientClaim,
    sessionEnds: boolean,
  ): Promise<boolean> {
    if (takenFrom === undefined) return false
    const answered = await this.links.bus.ask(
      takenFrom,
      { kind: 'takeover', clientId, epoch, sessionEnds },
      PATIENCE_MS,
    )
    this.events.clientTakenOver(clientId, takenFrom, answered)
    return answered
  }
}

/** Whether a write failed since another connection, here or elsewhere, has the session: nothing is wrong. */
export function isTaken(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'SESSION_TAKEN'
}

/** Whether a write or a read failed since the store cannot be reached now: the store has said so itself. */
export function isOutage(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'STORE_UNWRITABLE'
}
