import { describe, expect, it } from 'vitest'
import { Message } from './message.js'

function messageOf(payload: Buffer): Message {
  return new Message({
    topic: 't',
    payload,
    qos: 1,
    retain: true,
    receivedAt: 1,
    expiresAt: 2,
    publisherId: 'p',
  })
}

describe('a message that is kept', () => {
  it('has memory of its own, and is one for all who keep it', () => {
    const read = Buffer.from('xxpayloadxx')
    const message = messageOf(read.subarray(2, 9))
    const kept = message.kept()
    read.fill(0)
    expect(kept.payload.toString()).toBe('payload')
    expect(message.kept()).toBe(kept)
    expect(kept.kept()).toBe(kept)
    expect(kept).toMatchObject({ topic: 't', qos: 1, retain: true, expiresAt: 2, publisherId: 'p' })
  })

  it('does not hold what is encoded for deliveries of the live one', () => {
    const message = messageOf(Buffer.from('x'))
    const kept = message.kept()
    message.encoded = [Buffer.alloc(10)]
    expect(kept.encoded).toBeUndefined()
    expect(messageOf(Buffer.from('x')).kept().encoded).toBeUndefined()
  })
})
