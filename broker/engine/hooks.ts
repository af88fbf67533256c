import type { Aedes, ConnectPacket, PublishPacket, Subscription as PacketSubscription } from 'aedes'
import type { ConnectSummary, EngineClient, EngineHooks, HookVerdict } from '../contract/engine.js'
import type { HookName, PipelineEvents } from '../contract/events.js'
import { Message } from '../contract/message.js'
import type { Subscription } from '../contract/subscription.js'
import { documented } from './aedes-internals.js'
import { asError } from './as-error.js'
import { fromPacket, fromPacketSubscription, toPacket, toPacketSubscription } from './packets.js'

/** MQTT 3.1.1, 3.2.2.3: not authorized. */
const NOT_AUTHORIZED = 5

/**
 * The hooks of the broker as promises. A hook that is still Aedes' default is no hook: the default of
 * `authorizePublish` refuses `$SYS/`, which our own access policy decides.
 *
 * A hook that throws refuses, and is reported. A hook that never calls back holds its connection until the
 * session layer's time for it ends.
 */
export class BrokerHooks implements EngineHooks {
  private readonly defaults: Pick<Aedes, HookName>
  private readonly made = new Map<HookName, { readonly hook: unknown; readonly wrapped: unknown }>()

  constructor(
    private readonly broker: Aedes,
    private readonly events: PipelineEvents,
  ) {
    const { preConnect, authenticate, authorizePublish, authorizeSubscribe, authorizeForward } = broker
    this.defaults = { preConnect, authenticate, authorizePublish, authorizeSubscribe, authorizeForward }
  }

  get preConnect(): EngineHooks['preConnect'] {
    return this.wrapped('preConnect', (hook) => async (client, connect) => {
      return this.ask<boolean>('preConnect', false, (answer) => {
        hook(documented(client), connectPacket(connect), (error, successful) => {
          if (error) this.report('connectionError', client, error)
          answer(!error && successful)
        })
      })
    })
  }

  get authenticate(): EngineHooks['authenticate'] {
    return this.wrapped('authenticate', (hook) => async (client, username, password) => {
      const refused: HookVerdict = { granted: false, returnCode: NOT_AUTHORIZED }
      return this.ask<HookVerdict>('authenticate', refused, (answer) => {
        hook(documented(client), username, password, (error, successful) => {
          if (error) answer({ granted: false, returnCode: returnCodeOf(error) })
          else answer(successful === true ? { granted: true } : refused)
        })
      })
    })
  }

  get authorizePublish(): EngineHooks['authorizePublish'] {
    // Asked for with every message, like `authorizeForward`: without the look-up by name in `wrapped`.
    if (this.broker.authorizePublish === this.defaults.authorizePublish) return undefined
    return this.wrapped('authorizePublish', (hook) => async (client, message) => {
      return this.ask<boolean>('authorizePublish', false, (answer) => {
        const packet = toPacket(message)
        hook(documented(client), packet, (error) => {
          if (error) this.report('clientError', client, error)
          // The one change that Aedes documents: a hook may overwrite the payload.
          else if (packet.payload !== message.payload)
            message.payload = fromPacket(packet, 0, undefined).payload
          answer(!error)
        })
      })
    })
  }

  get authorizeSubscribe(): EngineHooks['authorizeSubscribe'] {
    return this.wrapped('authorizeSubscribe', (hook) => async (client, subscription) => {
      return this.ask<Subscription | undefined>('authorizeSubscribe', undefined, (answer) => {
        hook(documented(client), toPacketSubscription(subscription), (error, changed) => {
          if (error) this.report('clientError', client, error)
          answer(error || !changed ? undefined : this.changedSubscription(subscription, changed))
        })
      })
    })
  }

  get authorizeForward(): EngineHooks['authorizeForward'] {
    if (this.broker.authorizeForward === this.defaults.authorizeForward) return undefined
    return this.wrapped('authorizeForward', (hook) => (client, message) => {
      try {
        const packet = toPacket(message)
        const forwarded = hook(documented(client), { ...packet, brokerId: this.broker.id, brokerCounter: 0 })
        return forwarded ? this.changedMessage(message, forwarded) : undefined
      } catch (error) {
        this.events.hookFailed('authorizeForward', asError(error))
        return undefined
      }
    })
  }

  /** The wrapper of a hook, made once for each function that is set: the session layer asks for it with every message. */
  private wrapped<N extends HookName>(
    name: N,
    wrap: (hook: Aedes[N]) => NonNullable<EngineHooks[N]>,
  ): EngineHooks[N] | undefined {
    const hook = this.broker[name]
    if (hook === this.defaults[name]) return undefined
    const made = this.made.get(name)
    if (made?.hook === hook) return made.wrapped as EngineHooks[N]
    const wrapped = wrap(hook)
    this.made.set(name, { hook, wrapped })
    return wrapped
  }

  private async ask<T>(name: HookName, refused: T, call: (answer: (value: T) => void) => void): Promise<T> {
    try {
      return await new Promise<T>(call)
    } catch (error) {
      this.events.hookFailed(name, asError(error))
      return refused
    }
  }

  private report(event: 'clientError' | 'connectionError', client: EngineClient, error: Error): void {
    try {
      this.broker.emit(event, client, error)
    } catch (thrown) {
      this.events.listenerFailed(asError(thrown))
    }
  }

  private changedSubscription(asked: Subscription, changed: PacketSubscription): Subscription | undefined {
    // 128 is how a subscription is refused in SUBACK.
    if (![0, 1, 2].includes(changed.qos)) return undefined
    const same = toPacketSubscription(asked)
    if (same.topic === changed.topic && same.qos === changed.qos) return asked
    try {
      const { filter, share, qos } = fromPacketSubscription(changed, undefined)
      return { ...asked, filter, share, qos }
    } catch (error) {
      this.events.hookFailed('authorizeSubscribe', asError(error))
      return undefined
    }
  }

  private changedMessage(message: Message, packet: PublishPacket): Message {
    const same =
      packet.payload === message.payload && packet.topic === message.topic && packet.qos === message.qos
    if (same) return message
    const { topic, payload, qos } = fromPacket(packet, 0, undefined)
    const { retain, properties, publisherId, receivedAt, expiresAt } = message
    return new Message({ topic, payload, qos, retain, properties, publisherId, receivedAt, expiresAt })
  }
}

/** Aedes takes 2 to 5 from the hook, anything else is 5. */
function returnCodeOf(error: Error & { returnCode?: number }): number {
  const { returnCode } = error
  return returnCode !== undefined && returnCode >= 2 && returnCode <= 5 ? returnCode : NOT_AUTHORIZED
}

function connectPacket(connect: ConnectSummary): ConnectPacket {
  const { clientId, clean, keepAlive, username, version } = connect
  const protocolId = version === 3 ? 'MQIsdp' : 'MQTT'
  const packet: ConnectPacket = {
    cmd: 'connect',
    clientId,
    clean,
    keepalive: keepAlive,
    protocolId,
    protocolVersion: version,
  }
  return username === undefined ? packet : { ...packet, username }
}
