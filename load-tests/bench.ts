import type { Broker, Fleet, PeerSettings } from './peers/broker.js'
import { gatewayRecipe } from './peers/gateway.js'
import { launch, type Recipe } from './peers/launched-broker.js'
import { mosquittoRecipe } from './peers/mosquitto.js'
import { stockRecipe } from './peers/stock.js'

export const BROKER_KINDS = [
  'gateway',
  'gateway-sync',
  'gateway-redis',
  'mosquitto',
  'stock',
  'stock-redis',
] as const
export type BrokerKind = (typeof BROKER_KINDS)[number]

const ALONE: Fleet = { nodes: 1, clients: 'together' }

/** The brokers of a comparison, each started when it is first needed. */
export class Bench {
  private readonly brokers = new Map<string, Broker>()

  constructor(
    private readonly settings: PeerSettings,
    /** Of `gateway`. */
    private readonly store: 'level' | 'memory' | 'redis',
    private readonly onStart: (kind: BrokerKind) => void,
  ) {}

  async broker(kind: BrokerKind, fleet: Fleet = ALONE): Promise<Broker> {
    const key = `${kind} ${fleet.nodes} ${fleet.clients}`
    let broker = this.brokers.get(key)
    if (broker === undefined) {
      this.onStart(kind)
      broker = await launch(this.recipe(kind), fleet, this.settings)
      this.brokers.set(key, broker)
    }
    return broker
  }

  async stop(): Promise<void> {
    await Promise.all([...this.brokers.values()].map((broker) => broker.stop()))
    this.brokers.clear()
  }

  private recipe(kind: BrokerKind): Recipe {
    const { settings, store } = this
    switch (kind) {
      case 'gateway':
        return gatewayRecipe({ store, sync: false }, settings)
      case 'gateway-sync':
        return gatewayRecipe({ store, sync: true }, settings)
      case 'gateway-redis':
        return gatewayRecipe({ store: 'redis', sync: false }, settings)
      case 'mosquitto':
        return mosquittoRecipe(settings)
      case 'stock':
        return stockRecipe('memory', settings)
      case 'stock-redis':
        return stockRecipe('redis', settings)
    }
  }
}
