import { connectAsync, type MqttClient } from 'mqtt'

/** What a client of the demo gateway sees, counted. */
export interface Observations {
  /** Sensor readings. */
  readonly received: number
  /** Distinct feed topics, histories left out. */
  readonly feeds: number
  readonly feedMessages: number
}

/** A dashboard without a page: subscribes over WebSocket to what devices and bridges publish. */
export class DemoObserver {
  private received = 0
  private feedMessages = 0
  private readonly feedTopics = new Set<string>()

  private constructor(private readonly client: MqttClient) {
    client.on('message', (topic) => this.count(topic))
    // Reconnects by itself; what it missed shows in the numbers.
    client.on('error', () => {})
  }

  static async open(url: string): Promise<DemoObserver> {
    const client = await connectAsync(url, { protocolVersion: 5, clientId: 'demo-observer' })
    const observer = new DemoObserver(client)
    await client.subscribeAsync(['sensors/#', 'feeds/#'], { qos: 0 })
    return observer
  }

  get observations(): Observations {
    return { received: this.received, feeds: this.feedTopics.size, feedMessages: this.feedMessages }
  }

  async close(): Promise<void> {
    await this.client.endAsync()
  }

  private count(topic: string): void {
    if (topic.startsWith('sensors/')) {
      this.received++
    } else if (!topic.endsWith('/history')) {
      this.feedMessages++
      this.feedTopics.add(topic)
    }
  }
}
