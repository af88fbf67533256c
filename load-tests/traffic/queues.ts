import { Connection } from '../client/connection.js'
import { FlushList } from '../client/flush-list.js'
import { MessageTemplate } from '../client/message-template.js'
import { Drain, type Drained } from './drain.js'
import { inBatches } from './in-batches.js'
import type { QueuePlan } from './plan.js'
import { Publisher } from './publisher.js'
import { Receiver } from './receiver.js'

const FILL_WINDOW = 64
const SESSION_SECONDS = 3_600

/** Fills the queues of sessions whose clients are away, and drains them when these come back, all at a time. */
export class Queues {
  private readonly flushList = new FlushList()
  private readonly numbers: readonly number[]

  constructor(private readonly plan: QueuePlan) {
    this.numbers = Array.from({ length: plan.sessions }, (_, number) => number)
  }

  /** Makes the sessions, each with a subscription to a topic of its own, and leaves. */
  async prepare(): Promise<void> {
    await inBatches(this.numbers, async (number) => {
      const connection = await this.connect(`s${number}`, false)
      await connection.subscribe([this.topic(number)], this.plan.qos)
      await connection.close()
    })
  }

  async fill(): Promise<void> {
    await inBatches(this.numbers, (number) => this.fillOne(number))
  }

  async drain(): Promise<Drained> {
    const { plan } = this
    const drain = new Drain(plan.sessions * plan.count)
    const receivers: Receiver[] = []
    drain.begin()
    const connections = await Promise.all(
      this.numbers.map((number) =>
        this.connect(`s${number}`, false, (connection) => {
          receivers.push(new Receiver(connection, { first: number, count: 1 }, drain))
        }),
      ),
    )
    await drain.over()
    for (const { check } of receivers) check.end(0, plan.count)
    await inBatches(connections, (connection) => connection.close())
    return drain.result(receivers)
  }

  /** Ends the sessions: a new clean one with the same client identifier discards the old one [MQTT-3.1.2-6]. */
  async clear(): Promise<void> {
    await inBatches(this.numbers, async (number) => {
      const connection = await this.connect(`s${number}`, true)
      await connection.close()
    })
  }

  private async fillOne(number: number): Promise<void> {
    const { plan } = this
    const connection = await this.connect(`f${number}`, true)
    const template = new MessageTemplate({
      ...plan,
      retain: false,
      topic: this.topic(number),
      publisher: number,
      framed: connection.framed,
    })
    await new Promise<void>((resolve, reject) => {
      let acknowledged = 0
      const send = (publisher: Publisher) => {
        while (publisher.sent < plan.count && publisher.hasRoom()) publisher.send(0)
      }
      const publisher = new Publisher(
        connection,
        template,
        { number, place: number, qos: plan.qos, window: FILL_WINDOW, audience: 0 },
        {
          room: send,
          acknowledged: () => {
            if (++acknowledged === plan.count) resolve()
          },
          refused: () => reject(new Error('the broker refused a message for a session that is away')),
          lost: () => reject(new Error('the broker closed a connection that fills its queues')),
        },
      )
      send(publisher)
      this.flushList.flush()
    })
    await connection.close()
  }

  private topic(number: number): string {
    return `load/${this.plan.runId}/resume/${number}`
  }

  private connect(
    name: string,
    clean: boolean,
    prepare?: (connection: Connection) => void,
  ): Promise<Connection> {
    const options = {
      ...this.plan,
      clientId: `${this.plan.runId}-${name}`,
      clean,
      sessionExpirySeconds: clean ? 0 : SESSION_SECONDS,
      flushList: this.flushList,
    }
    return Connection.open(options, prepare)
  }
}
