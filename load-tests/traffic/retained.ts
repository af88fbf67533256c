import { Connection } from '../client/connection.js'
import { FlushList } from '../client/flush-list.js'
import { publishPacket } from '../client/packets.js'
import { Drain, type Drained } from './drain.js'
import type { StoredPlan } from './plan.js'
import { Receiver } from './receiver.js'

/** Unacknowledged messages while the broker is filled. */
const FILL_WINDOW = 64

/** Topics in a level: a wildcard has branches to walk, as in a house of rooms and devices. */
const TOPICS_A_BRANCH = 100

/** Fills a broker with retained messages, and reads them by a wildcard. */
export class RetainedMessages {
  private readonly flushList = new FlushList()

  constructor(private readonly plan: StoredPlan) {}

  async fill(): Promise<void> {
    await this.publishAll(this.plan.payloadBytes)
  }

  /** An empty retained message takes the one before it away [MQTT-3.3.1-6]. */
  async clear(): Promise<void> {
    await this.publishAll(0)
  }

  /** A new client subscribes to all of them. */
  async read(reader: number): Promise<Drained> {
    const { plan } = this
    const connection = await this.connect(`reader${reader}`)
    const drain = new Drain(plan.count)
    const receiver = new Receiver(connection, { first: 0, count: plan.count }, drain)
    drain.begin()
    await connection.subscribe([`load/${plan.runId}/retained/#`], plan.qos)
    await drain.over()
    await connection.close()
    return drain.result([receiver])
  }

  private async publishAll(payloadBytes: number): Promise<void> {
    const { count } = this.plan
    const connection = await this.connect('filler')
    let next = 0
    const send = () => {
      const number = next++
      connection.sendPacket(this.message(number, payloadBytes))
    }
    await new Promise<void>((resolve, reject) => {
      let acknowledged = 0
      connection.handler = {
        publish: () => {},
        acknowledgement: (_type, _packetId, reason) => {
          if (reason >= 0x80) reject(new Error(`the broker refused a retained message with code ${reason}`))
          else if (++acknowledged === count) resolve()
          else if (next < count) send()
        },
        lost: () => reject(new Error('the broker closed the connection that fills it')),
      }
      while (next < Math.min(FILL_WINDOW, count)) send()
      this.flushList.flush()
    })
    await connection.close()
  }

  private message(number: number, payloadBytes: number): Buffer {
    const { version, runId } = this.plan
    const payload = Buffer.alloc(payloadBytes, 'x')
    // The first word of the stamp tells the topics apart; each has one message, number 0.
    if (payloadBytes > 0) {
      payload.writeUInt32LE(number, 0)
      payload.fill(0, 4, 12)
    }
    const branch = Math.floor(number / TOPICS_A_BRANCH)
    const topic = `load/${runId}/retained/${branch}/${number % TOPICS_A_BRANCH}`
    return publishPacket({
      version,
      topic,
      qos: 1,
      retain: true,
      packetId: (number % 65_535) + 1,
      payload,
    })
  }

  private connect(name: string): Promise<Connection> {
    return Connection.open({
      ...this.plan,
      clientId: `${this.plan.runId}-${name}`,
      clean: true,
      sessionExpirySeconds: 0,
      flushList: this.flushList,
    })
  }
}
