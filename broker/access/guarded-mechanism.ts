import type { Clock } from '../contract/clock.js'
import type {
  AuthenticationExchange,
  AuthenticationMechanism,
  ExchangePeer,
  ExchangeStep,
} from '../contract/enhanced-authentication.js'
import type { AccessEvents } from '../contract/events.js'
import type { DecisionSlots } from './decision-slots.js'
import { withTimeout } from './timeout.js'

export interface GuardOptions {
  /** As in logs and metrics. */
  readonly name: string
  /** Longest time for the server's part of one step, milliseconds. */
  readonly timeoutMs: number
  readonly clock: Clock
  readonly slots: DecisionSlots
  readonly events: Pick<AccessEvents, 'authenticatorFailed'>
}

/** A mechanism held to what the contract promises: whatever fails or takes too long is refused, and never rejects. */
export function guarded(mechanism: AuthenticationMechanism, options: GuardOptions): AuthenticationMechanism {
  return {
    method: mechanism.method,
    begin: (peer) => new GuardedExchange(mechanism, peer, options),
  }
}

class GuardedExchange implements AuthenticationExchange {
  private exchange: AuthenticationExchange | undefined

  constructor(
    private readonly mechanism: AuthenticationMechanism,
    private readonly peer: ExchangePeer,
    private readonly options: GuardOptions,
  ) {}

  step(data: Buffer | undefined): Promise<ExchangeStep> {
    return this.options.slots.run(
      () => this.timed(data),
      () => ({ kind: 'refused', reason: 'server_busy' }),
    )
  }

  private async timed(data: Buffer | undefined): Promise<ExchangeStep> {
    const { name, timeoutMs, clock, events } = this.options
    try {
      const exchange = (this.exchange ??= this.mechanism.begin(this.peer))
      const step = await withTimeout(clock, timeoutMs, () => exchange.step(data))
      if (step !== undefined) return step
      events.authenticatorFailed(name, new Error(`no decision within ${timeoutMs} ms`))
      return { kind: 'refused', reason: 'authenticator_timeout' }
    } catch (error) {
      events.authenticatorFailed(name, error instanceof Error ? error : new Error(String(error)))
      return { kind: 'refused', reason: 'authenticator_failed' }
    }
  }
}
