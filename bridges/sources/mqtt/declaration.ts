import { z } from 'zod'
import type { SourceDeclaration } from '../../../broker/contract/connector.js'
import { targetOf, targetSettings } from '../../mqtt/target.js'
import { patternFault, TopicPattern } from '../../mqtt/topic-pattern.js'
import { MqttSource } from './mqtt-source.js'

const schema = z.strictObject({
  type: z.literal('mqtt'),
  topic: z
    .string()
    .superRefine((text, context) => {
      const allowed = patternFault(text)
      if (allowed !== undefined) context.addIssue({ code: 'custom', message: allowed })
    })
    .describe(
      'Topics to read, with names for levels: `{name}` for one, `{name...}` at the end for the rest. `+` and `#` match without a name.',
    ),
  qos: z
    .literal([0, 1])
    .default(0)
    .describe(
      '0: what arrives while the pipeline is behind may be dropped. 1: settled only when the sink has what became of it.',
    ),
  maxUnsettled: z
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .describe(
      'QoS 1 messages that may wait for their window, 1 to 65,535; beyond it the oldest are settled early. No more than the broker lets be under way (Mosquitto: `max_inflight_messages`, this gateway: `limits.receiveMaximum`), or windows would wait for messages that wait for windows. Default: 20, and 10,000 inside the gateway.',
    ),
  ...targetSettings,
})

export const mqttSource: SourceDeclaration<typeof schema> = {
  name: 'mqtt',
  summary: 'Messages of an MQTT broker.',
  schema,
  notes: [
    "Inside a gateway, messages come straight from its router. A pipeline that is behind by more than 10,000 messages or 8 MiB loses QoS 0 messages (counted as `bridge_overflow`), and QoS 1 messages at twice that. QoS 1 messages outlive a crash of the worker that runs the pipelines; they do not outlive the gateway's process.",
    'On another broker, QoS 1 uses a persistent session (Clean Session 0, session expiry one day) and acknowledges by hand: what was not settled comes again after a restart.',
    'Retained messages of the past are not read: they are no new readings.',
  ],
  captures: ({ topic }) => new TopicPattern(topic).names,
  reads: ({ topic, url }) => (url === undefined ? new TopicPattern(topic).filter : undefined),
  create: (settings, context) =>
    new MqttSource(
      new TopicPattern(settings.topic),
      { qos: settings.qos, maxUnsettled: settings.maxUnsettled },
      () => context.link('source', targetOf(settings)),
    ),
}
