import type { Aedes } from 'aedes'
import type { EngineClient, EngineEvents } from '../contract/engine.js'
import type { PipelineEvents } from '../contract/events.js'
import type { Message } from '../contract/message.js'
import type { Subscription } from '../contract/subscription.js'
import { formatFilter } from '../contract/topic.js'
import { internals } from './aedes-internals.js'
import { asError } from './as-error.js'
import { AedesClient } from './client.js'
import { toPacket, toPacketSubscription } from './packets.js'

/**
 * The documented events that only a connection can know of. Packets are made when somebody listens. What a
 * listener throws is reported and stops nothing.
 */
export class BrokerEvents implements EngineEvents {
  constructor(
    private readonly broker: Aedes,
    private readonly events: PipelineEvents,
  ) {}

  connackSent(client: EngineClient, returnCode: number, sessionPresent: boolean): void {
    this.emit('connackSent', () => [{ cmd: 'connack', returnCode, sessionPresent }, client])
  }

  clientReady(client: EngineClient): void {
    const own = AedesClient.of(client)
    own.phase = 'connected'
    this.emit('clientReady', () => [client])
    this.guard(() => own.emit('connected'))
  }

  ping(client: EngineClient): void {
    this.emit('ping', () => [{ cmd: 'pingreq' }, client])
  }

  ack(client: EngineClient, message: Message | undefined): void {
    this.emit('ack', () => [message === undefined ? { cmd: 'pubrel' } : toPacket(message), client])
  }

  subscribed(client: EngineClient, subscriptions: readonly Subscription[]): void {
    this.emit('subscribe', () => [subscriptions.map(toPacketSubscription), client])
    this.notice('new/subscribes', () => ({
      clientId: client.id,
      subs: subscriptions.map((each) => ({ topic: formatFilter(each), qos: each.qos })),
    }))
  }

  unsubscribed(client: EngineClient, filters: readonly string[]): void {
    this.emit('unsubscribe', () => [[...filters], client])
    this.notice('new/unsubscribes', () => ({ clientId: client.id, subs: filters }))
  }

  keepAliveTimeout(client: EngineClient): void {
    this.emit('keepaliveTimeout', () => [client])
  }

  clientError(client: EngineClient, error: Error): void {
    this.failed('clientError', client, error)
  }

  connectionError(client: EngineClient, error: Error): void {
    this.failed('connectionError', client, error)
  }

  private failed(event: 'clientError' | 'connectionError', client: EngineClient, error: Error): void {
    this.emit(event, () => [client, error])
    const own = AedesClient.of(client)
    // An `error` event without listeners would throw.
    if (own.listenerCount('error') > 0) this.guard(() => own.emit('error', error))
  }

  private emit(event: string, args: () => unknown[]): void {
    if (this.broker.listenerCount(event) === 0) return
    this.guard(() => (this.broker as NodeJS.EventEmitter).emit(event, ...args()))
  }

  /** The `$SYS` topic that Aedes documents beside the event. */
  private notice(name: string, content: () => object): void {
    const topic = `$SYS/${this.broker.id}/${name}`
    const payload = Buffer.from(JSON.stringify(content()))
    this.guard(() => internals(this.broker).publish({ topic, payload }, null, () => {}))
  }

  private guard(run: () => unknown): void {
    try {
      run()
    } catch (error) {
      this.events.listenerFailed(asError(error))
    }
  }
}
