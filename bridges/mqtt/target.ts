import { z } from 'zod'
import type { BrokerTarget } from '../../broker/contract/connector.js'

/** Settings by which an MQTT connector names another broker than the one it belongs to. */
export const targetSettings = {
  url: z
    .url({ protocol: /^(?:mqtts?|wss?)$/ })
    .optional()
    .describe(
      'Another broker: `mqtt://`, `mqtts://`, `ws://` or `wss://`. Without it, the gateway itself or the broker given by `--broker`.',
    ),
  username: z.string().optional().describe('User name at that broker.'),
  password: z
    .string()
    .optional()
    .describe('Password at that broker; best as `${NAME}` from the environment.'),
  clientId: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Client identifier at that broker. Default: made from the names of the pipeline and of its end.',
    ),
}

export function targetOf(settings: {
  readonly url?: string | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly clientId?: string | undefined
}): BrokerTarget | undefined {
  const { url, username, password, clientId } = settings
  return url === undefined ? undefined : { url, username, password, clientId }
}
