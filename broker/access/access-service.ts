import type { AuthenticatorConfig, Config } from '../../config/schema.js'
import type { Clock } from '../contract/clock.js'
import type { AuthenticationMechanism, EnhancedAuthentication } from '../contract/enhanced-authentication.js'
import type { AccessEvents } from '../contract/events.js'
import type { Authentication, Credentials } from '../contract/principal.js'
import type { Readiness, Service } from '../contract/service.js'
import { AuthenticatorChain, type TimedAuthenticator } from './authentication.js'
import { DecisionSlots, type DecisionSlotLimits } from './decision-slots.js'
import { guarded } from './guarded-mechanism.js'
import { JwtAuthenticator } from './jwt/authenticator.js'
import { verificationKeys } from './jwt/key-source.js'
import { ScramMechanism } from './scram/mechanism.js'

export interface AccessDependencies {
  readonly clock: Clock
  readonly events: AccessEvents
  /** For key sets behind a URL. */
  readonly fetch: typeof fetch
  /** For nonces: unpredictable. */
  readonly randomBytes: (size: number) => Buffer
  readonly slots?: DecisionSlotLimits
}

/** Authentication as the configuration says, with the keys, files and timers that it lives on. */
export class AccessService implements Authentication, EnhancedAuthentication, Service {
  readonly name = 'access'
  private readonly slots: DecisionSlots
  private readonly entries: readonly Entry[]
  private readonly chain: AuthenticatorChain

  constructor(config: Config['auth'], dependencies: AccessDependencies) {
    const { clock, events } = dependencies
    const slots = new DecisionSlots(dependencies.slots)
    this.slots = slots
    this.entries = config.authenticators.map((entry) => openable(entry, slots, dependencies))
    this.chain = new AuthenticatorChain({
      anonymous: config.anonymous,
      authenticators: this.entries.flatMap(({ inChain }) => inChain ?? []),
      clock,
      events,
      slots,
    })
  }

  /** @throws GatewayError KEYS_UNREADABLE when a key file or users file cannot be read or used. */
  async start(): Promise<void> {
    try {
      await Promise.all(this.entries.map((entry) => entry.open()))
    } catch (error) {
      await this.stop()
      throw error
    }
    this.slots.open()
  }

  async stop(): Promise<void> {
    this.slots.close()
    await Promise.all(this.entries.flatMap((entry) => entry.close?.() ?? []))
  }

  readiness(): Readiness {
    const states = this.entries.flatMap((entry) => entry.readiness?.() ?? [])
    return states.find(({ ready }) => !ready) ?? { ready: true }
  }

  decide(credentials: Credentials): ReturnType<Authentication['decide']> {
    return this.chain.decide(credentials)
  }

  mechanism(method: string): AuthenticationMechanism | undefined {
    return this.entries.find((entry) => entry.mechanism?.method === method)?.mechanism
  }
}

/** One entry of `auth.authenticators`: a member of the chain or a method of enhanced authentication. */
interface Entry {
  readonly inChain?: TimedAuthenticator
  readonly mechanism?: AuthenticationMechanism
  open(): Promise<void>
  close?(): Promise<void>
  readiness?(): Readiness
}

/** The place where a new kind of authenticator is added. */
function openable(
  config: AuthenticatorConfig,
  slots: DecisionSlots,
  dependencies: AccessDependencies,
): Entry {
  const { clock, events, randomBytes } = dependencies
  const { name } = config
  const timeoutMs = config.timeoutSeconds * 1000
  switch (config.type) {
    case 'jwt': {
      const keys = verificationKeys(config, dependencies)
      return {
        inChain: { authenticator: new JwtAuthenticator(config, keys, clock), timeoutMs },
        open: () => keys.open(),
        close: () => keys.close(),
        readiness: () => keys.readiness(),
      }
    }
    case 'scram': {
      const scram = new ScramMechanism({ name, usersFile: config.usersFile, events, randomBytes })
      return {
        mechanism: guarded(scram, { name, timeoutMs, clock, slots, events }),
        open: () => scram.open(),
      }
    }
  }
}
