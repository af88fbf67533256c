import type { Clock } from '../../../broker/contract/clock.js'
import type { BridgeRecord, Sink } from '../../../broker/contract/connector.js'
import type { BrokerLink, OutboundMessage } from '../../../broker/contract/port.js'
import type { TopicTemplate } from '../../mqtt/topic-template.js'
import { History, type HistoryOptions } from './history.js'

export interface MqttSinkOptions {
  readonly topic: TopicTemplate
  readonly qos: 0 | 1
  readonly retain: boolean
  readonly history: HistoryOptions | undefined
}

export class MqttSink implements Sink {
  private link: BrokerLink | undefined
  private closing = false
  private readonly history: History | undefined

  constructor(
    private readonly options: MqttSinkOptions,
    private readonly connect: () => BrokerLink,
    clock: Clock,
  ) {
    if (options.history !== undefined)
      this.history = new History(options.history, clock, {
        publish: (messages) => this.opened().publish(messages),
        recall: async (topic) => await this.opened().recall?.(topic),
      })
  }

  open(): Promise<void> {
    this.opened()
    return Promise.resolve()
  }

  async write(records: readonly BridgeRecord[]): Promise<void> {
    const { qos, retain, topic } = this.options
    const messages = records.map(({ captures, payload }): OutboundMessage => ({
      topic: topic.render(captures),
      payload,
      qos,
      retain,
    }))
    await this.opened().publish(messages)
    for (const record of records) this.history?.add(record)
  }

  async close(): Promise<void> {
    if (!this.closing) {
      this.closing = true
      await this.history?.close()
    }
    await this.link?.close()
  }

  private opened(): BrokerLink {
    return (this.link ??= this.connect())
  }
}
