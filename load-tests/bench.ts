import type { Broker, PeerSettings } from './peers/broker.js'
import { gatewayRecipe } from './peers/gateway.js'
import { launch } from './peers/launched-broker.js'
import { mosquittoRecipe } from './peers/mosquitto.js'
import { stockRecipe } from './peers/stock.js'

export const BROKER_KINDS = ['gateway', 'gateway-sync', 'mosquitto', 'stock', 'stock-redis'] as const
export type BrokerKind = (typeof BROKER_KINDS)[number]

/** The brokers of a comparison, each started when it is first needed. */
export class Bench {
  private readonly brokers = new Map<BrokerKind, Broker>()

  constructor(
    private readonly settings: PeerSettings,
    /** Of the gateway. */
    private readonly store: 'level' | 'memory',
    private readonly onStart: (kind: BrokerKind) => void,
  ) {}

  async broker(kind: BrokerKind): Promise<Broker> {
    let broker = this.brokers.get(kind)
    if (broker === undefined) {
      this.onStart(kind)
      broker = await launch(this.recipe(kind), this.settings)
      this.brokers.set(kind, broker)
    }
    return broker
  }

  async stop(): Promise<void> {
    await Promise.all([...this.brokers.values()].map((broker) => broker.stop()))
    this.brokers.clear()
  }

  private recipe(kind: BrokerKind) {
    const { settings, store } = this
    switch (kind) {
      case 'gateway':
        return gatewayRecipe({ store, sync: false }, settings)
      case 'gateway-sync':
        return gatewayRecipe({ store, sync: true }, settings)
      case 'mosquitto':
        return mosquittoRecipe(settings)
      case 'stock':
        return stockRecipe('memory', settings)
      case 'stock-redis':
        return stockRecipe('redis', settings)
    }
  }
}
