import type { LimitsConfig } from '../../config/schema.js'
import type { Clock } from '../contract/clock.js'
import type { Engine } from '../contract/engine.js'
import type { EnhancedAuthentication } from '../contract/enhanced-authentication.js'
import type { SessionEvents } from '../contract/events.js'
import type { AccessPolicy } from '../contract/policy.js'
import type { Authentication } from '../contract/principal.js'
import type { Router } from '../contract/router.js'
import type { Store } from '../contract/store.js'
import type { ClusterLinks } from './cluster/cluster-links.js'
import type { SessionCluster } from './cluster/session-cluster.js'
import type { Departure } from './departure.js'
import type { Sessions } from './sessions.js'
import type { TimerWheel } from './timer-wheel.js'
import type { Wills } from './wills.js'

/** What the session layer is built on; `app/` puts it together. */
export interface SessionDependencies {
  readonly engine: Engine
  readonly router: Router
  readonly store: Store
  /** Other nodes on the same store; undefined: there are none, ever. */
  readonly links: ClusterLinks | undefined
  readonly authentication: Authentication
  readonly enhancedAuthentication: EnhancedAuthentication
  readonly policy: AccessPolicy
  readonly events: SessionEvents
  readonly clock: Clock
  readonly limits: LimitsConfig
  readonly settings: SessionSettings
  /** Longest wait for the store when the service stops, milliseconds. */
  readonly stopWithinMs: number
  /** An unused client identifier, for clients that send none [MQTT-3.1.3-6]. */
  readonly newClientId: () => string
  /** Something that cannot happen has happened; the gateway goes on. What a store refuses is none: it says so itself. */
  readonly onDefect: (error: unknown) => void
}

export interface SessionSettings {
  readonly responseInformation?: string | undefined
  readonly serverReference?: string | undefined
}

/** The same, with what the layer itself adds: what every exchange has at hand. */
export interface SessionLayer extends SessionDependencies {
  readonly wheel: TimerWheel
  readonly wills: Wills
  readonly sessions: Sessions
  readonly departure: Departure
  readonly cluster: SessionCluster | undefined
}
