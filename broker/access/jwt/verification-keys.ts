import type { JWTVerifyGetKey } from 'jose'
import type { Clock } from '../../contract/clock.js'
import type { AccessEvents } from '../../contract/events.js'
import type { Readiness } from '../../contract/service.js'

/** Where the keys that check tokens come from. */
export interface VerificationKeys {
  /** @throws GatewayError KEYS_UNREADABLE when a file has no usable keys. A URL may come later. */
  open(): Promise<void>
  /** Releases timers and requests. Idempotent. */
  close(): Promise<void>
  /**
   * The key for a token by its header. Rejects with a JOSE error when there is none for that token, with
   * KEYS_UNREADABLE when there are none at all.
   */
  readonly keyFor: JWTVerifyGetKey
  readiness(): Readiness
}

export interface KeyDependencies {
  readonly clock: Clock
  readonly events: Pick<AccessEvents, 'keysLoaded' | 'keysUnavailable'>
  readonly fetch: typeof fetch
}
