import { z } from 'zod'
import type { SinkDeclaration } from '../../../broker/contract/connector.js'
import { targetOf, targetSettings } from '../../mqtt/target.js'
import { templateFault, TopicTemplate } from '../../mqtt/topic-template.js'
import { MqttSink } from './mqtt-sink.js'

const schema = z.strictObject({
  type: z.literal('mqtt'),
  topic: z
    .string()
    .describe('Topic to publish to; `{name}` is a capture, `{window}` the length of the window.'),
  qos: z
    .literal([0, 1])
    .default(1)
    .describe('1: an input is settled when the broker has acknowledged what became of it.'),
  retain: z
    .boolean()
    .default(false)
    .describe('Whether the last message of a topic is kept for later subscribers.'),
  history: z
    .strictObject({
      topic: z.string().describe('Topic of the history, another one for each `topic`.'),
      points: z.int().min(1).max(10_000).describe('Messages that are kept, 1 to 10,000.'),
      maxBytes: z
        .int()
        .min(256)
        .max(16_777_216)
        .default(131_072)
        .describe(
          'Largest history message, 256 to 16,777,216 bytes; the oldest points give way. Stay below the packet limit of the broker.',
        ),
      maxTopics: z
        .int()
        .min(1)
        .max(1_000_000)
        .default(10_000)
        .describe('Histories that are kept, 1 to 1,000,000; the one that was silent longest gives way.'),
    })
    .optional()
    .describe('Publishes the last messages of each topic together, retained, for charts that open later.'),
  ...targetSettings,
})

export const mqttSink: SinkDeclaration<typeof schema> = {
  name: 'mqtt',
  summary: 'Publishes to an MQTT broker.',
  schema,
  notes: [
    'A history is `{"points": [...]}`, the oldest first, each point as it was published. It is published at most once a second a topic, retained, QoS 0. Inside a gateway it goes on after a restart from what is retained; at another broker it begins anew.',
  ],
  check({ topic, history }, captures) {
    const faults = []
    const fault = templateFault(topic, captures)
    if (fault !== undefined) faults.push({ path: ['topic'], allowed: fault })
    if (history === undefined) return faults
    const historyFault = templateFault(history.topic, captures)
    if (historyFault !== undefined) faults.push({ path: ['history', 'topic'], allowed: historyFault })
    else if (!sameNames(topic, history.topic))
      faults.push({
        path: ['history', 'topic'],
        allowed: 'all the names of `topic`, so that histories do not mix',
      })
    else if (topic === history.topic)
      faults.push({ path: ['history', 'topic'], allowed: 'another topic than `topic`' })
    return faults
  },
  publishes: ({ topic, history, url }) =>
    url === undefined
      ? [topic, ...(history === undefined ? [] : [history.topic])].map(
          (text) => new TopicTemplate(text).filter,
        )
      : [],
  create: (settings, context) =>
    new MqttSink(
      {
        topic: new TopicTemplate(settings.topic),
        qos: settings.qos,
        retain: settings.retain,
        history:
          settings.history === undefined
            ? undefined
            : { ...settings.history, topic: new TopicTemplate(settings.history.topic) },
      },
      () => context.link('sink', targetOf(settings)),
      context.clock,
    ),
}

function sameNames(left: string, right: string): boolean {
  const names = (text: string): string => [...new Set(text.match(/\{[^{}]*\}/g))].sort().join()
  return names(left) === names(right)
}
