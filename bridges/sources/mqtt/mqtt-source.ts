import { Retryable, type BridgeRecord, type Source } from '../../../broker/contract/connector.js'
import type { BrokerLink, Inflow, SubscribeOptions } from '../../../broker/contract/port.js'
import type { TopicPattern } from '../../mqtt/topic-pattern.js'

/** Reads the messages of one subscription; captures come from the topic. */
export class MqttSource implements Source {
  private link: BrokerLink | undefined
  private inflow: Inflow | undefined

  constructor(
    private readonly pattern: TopicPattern,
    private readonly options: SubscribeOptions,
    private readonly connect: () => BrokerLink,
  ) {}

  get maxUnsettled(): number {
    return this.inflow?.maxUnsettled ?? Infinity
  }

  get dropped(): number {
    return this.inflow?.dropped ?? 0
  }

  async open(): Promise<void> {
    this.link ??= this.connect()
    this.inflow ??= await this.link.subscribe(this.pattern.filter, this.options)
  }

  async read(): Promise<readonly BridgeRecord[] | undefined> {
    if (this.inflow === undefined) throw new Retryable('the subscription is not open')
    const messages = await this.inflow.read()
    return messages?.map(({ topic, payload, token, receivedAt }) => ({
      topic,
      captures: this.pattern.match(topic) ?? NOTHING,
      payload,
      value: undefined,
      eventTime: receivedAt,
      receivedAt,
      tokens: token === 0 ? NO_TOKENS : [token],
    }))
  }

  settle(token: number): void {
    this.inflow?.settle(token)
  }

  stop(): void {
    this.inflow?.stop()
  }

  async close(): Promise<void> {
    await this.link?.close()
  }
}

/** `a/{rest...}` subscribes to `a/#`, which brings `a` as well: the one topic where a name stands for nothing. */
const NOTHING = {}
const NO_TOKENS: readonly number[] = []
