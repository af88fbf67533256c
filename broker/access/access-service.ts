import type { AuthenticatorConfig, Config } from '../../config/schema.js'
import type { Clock } from '../contract/clock.js'
import type { AccessEvents } from '../contract/events.js'
import type { Authentication, Credentials } from '../contract/principal.js'
import type { Readiness, Service } from '../contract/service.js'
import { AuthenticatorChain, type TimedAuthenticator } from './authentication.js'
import { DecisionSlots, type DecisionSlotLimits } from './decision-slots.js'
import { JwtAuthenticator } from './jwt/authenticator.js'
import { verificationKeys } from './jwt/key-source.js'
import type { VerificationKeys } from './jwt/verification-keys.js'

export interface AccessDependencies {
  readonly clock: Clock
  readonly events: AccessEvents
  /** For key sets behind a URL. */
  readonly fetch: typeof fetch
  readonly slots?: DecisionSlotLimits
}

/** Authentication as the configuration says, with the keys and timers that it lives on. */
export class AccessService implements Authentication, Service {
  readonly name = 'access'
  private readonly slots: DecisionSlots
  private readonly keys: readonly VerificationKeys[]
  private readonly chain: AuthenticatorChain

  constructor(config: Config['auth'], dependencies: AccessDependencies) {
    const { clock, events } = dependencies
    const members = config.authenticators.map((entry) => openable(entry, dependencies))
    this.slots = new DecisionSlots(dependencies.slots)
    this.keys = members.map(({ keys }) => keys)
    this.chain = new AuthenticatorChain({
      anonymous: config.anonymous,
      authenticators: members,
      clock,
      events,
      slots: this.slots,
    })
  }

  /** @throws GatewayError KEYS_UNREADABLE when a key file cannot be read or used. */
  async start(): Promise<void> {
    try {
      await Promise.all(this.keys.map((keys) => keys.open()))
    } catch (error) {
      await this.stop()
      throw error
    }
    this.slots.open()
  }

  async stop(): Promise<void> {
    this.slots.close()
    await Promise.all(this.keys.map((keys) => keys.close()))
  }

  readiness(): Readiness {
    return this.keys.map((keys) => keys.readiness()).find(({ ready }) => !ready) ?? { ready: true }
  }

  decide(credentials: Credentials): ReturnType<Authentication['decide']> {
    return this.chain.decide(credentials)
  }
}

interface Member extends TimedAuthenticator {
  readonly keys: VerificationKeys
}

/** The place where a new kind of authenticator is added. */
function openable(config: AuthenticatorConfig, dependencies: AccessDependencies): Member {
  const keys = verificationKeys(config, dependencies)
  return {
    authenticator: new JwtAuthenticator(config, keys, dependencies.clock),
    keys,
    timeoutMs: config.timeoutSeconds * 1000,
  }
}
