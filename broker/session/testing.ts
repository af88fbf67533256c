import { Message, type MessageFields } from '../contract/message.js'
import type { Delivery } from '../contract/subscription.js'

export function messageOf(payload: string, fields: Partial<MessageFields> = {}): Message {
  return new Message({
    topic: 't',
    payload: Buffer.from(payload),
    qos: 1,
    retain: false,
    receivedAt: 0,
    ...fields,
  })
}

export function deliveryOf(qos: 0 | 1 | 2, sharedFilter?: string): Delivery {
  return { qos, retain: false, identifiers: [], sharedFilter }
}
