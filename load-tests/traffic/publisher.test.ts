import { describe, expect, it } from 'vitest'
import type { Connection } from '../client/connection.js'
import { MessageTemplate } from '../client/message-template.js'
import { PUBACK, PUBCOMP, PUBREC, PUBREL } from '../client/packet-reader.js'
import { Publisher, type PublisherOptions } from './publisher.js'

interface Sent {
  readonly packetId: number
  readonly sequence: number
}

function publisherWith(options: Pick<PublisherOptions, 'qos' | 'window' | 'audience'>) {
  const sent: Sent[] = []
  const acknowledgements: [type: number, packetId: number][] = []
  const seen = { room: 0, acknowledged: 0, refused: 0 }
  const connection = {
    congested: false,
    sendMessage: (_template: MessageTemplate, packetId: number, sequence: number) =>
      sent.push({ packetId, sequence }),
    sendAcknowledgement: (type: number, packetId: number) => acknowledgements.push([type, packetId]),
  }
  const publisher = new Publisher(
    connection as unknown as Connection,
    template,
    { number: 0, place: 0, ...options },
    {
      room: () => seen.room++,
      acknowledged: () => seen.acknowledged++,
      refused: () => seen.refused++,
      lost: () => {},
    },
  )
  return { publisher, sent, acknowledgements, seen, connection }
}

const template = new MessageTemplate({
  version: 4,
  topic: 't',
  qos: 1,
  retain: false,
  payloadBytes: 12,
  publisher: 0,
  framed: false,
})

describe('a publisher', () => {
  it('keeps to its window until all receivers have a message', () => {
    const { publisher, sent, seen } = publisherWith({ qos: 0, window: 2, audience: 3 })
    publisher.fill()
    expect(sent.map(({ sequence }) => sequence)).toEqual([0, 1])
    publisher.delivered(0)
    publisher.delivered(0)
    expect(seen.room).toBe(0)
    publisher.delivered(0)
    expect(seen.room).toBe(1)
    publisher.fill()
    expect(sent.map(({ sequence }) => sequence)).toEqual([0, 1, 2])
  })

  it('waits for the acknowledgement of QoS 1 too, in any order', () => {
    const { publisher, sent, seen } = publisherWith({ qos: 1, window: 2, audience: 1 })
    publisher.fill()
    publisher.acknowledgement(PUBACK, sent[1]!.packetId, 0)
    expect(seen).toEqual({ room: 0, acknowledged: 1, refused: 0 })
    publisher.delivered(1)
    expect(seen.room).toBe(1)
    publisher.delivered(0)
    publisher.acknowledgement(PUBACK, sent[0]!.packetId, 0)
    expect(seen.room).toBe(2)
  })

  it('goes through both steps of QoS 2', () => {
    const { publisher, sent, acknowledgements, seen } = publisherWith({ qos: 2, window: 1, audience: 0 })
    publisher.fill()
    const { packetId } = sent[0]!
    publisher.acknowledgement(PUBREC, packetId, 0)
    expect(acknowledgements).toEqual([[PUBREL, packetId]])
    expect(seen.room).toBe(0)
    publisher.acknowledgement(PUBCOMP, packetId, 0)
    expect(seen).toEqual({ room: 1, acknowledged: 1, refused: 0 })
  })

  it('is done with a message that is refused, whoever was to get it', () => {
    const { publisher, sent, seen } = publisherWith({ qos: 1, window: 1, audience: 5 })
    publisher.fill()
    publisher.acknowledgement(PUBACK, sent[0]!.packetId, 0x97)
    expect(seen).toEqual({ room: 1, acknowledged: 0, refused: 1 })
  })

  it('gives no packet identifier to two messages under way', () => {
    const { publisher, sent } = publisherWith({ qos: 1, window: 2, audience: 0 })
    publisher.fill()
    // The first one takes its time; the second place is used again and again.
    for (let round = 0; round < 10; round++) {
      publisher.acknowledgement(PUBACK, sent.at(-1)!.packetId, 0)
      publisher.fill()
      const underWay = [sent[0], sent.at(-1)].map((each) => each!.packetId)
      if (sent.length > round + 2) expect(new Set(underWay).size).toBe(2)
    }
    expect(sent.length).toBe(4)
  })

  it('goes on after it has given up, and ignores what comes too late', () => {
    const { publisher, sent, seen } = publisherWith({ qos: 0, window: 1, audience: 1 })
    publisher.fill()
    publisher.giveUp()
    publisher.fill()
    expect(sent).toHaveLength(2)
    publisher.delivered(0)
    expect(seen.room).toBe(0)
    publisher.delivered(1)
    expect(seen.room).toBe(1)
  })

  it('needs no window where nothing tells that a message is done, but stops at a full socket', () => {
    const { publisher, connection } = publisherWith({ qos: 0, window: 1, audience: 0 })
    for (let count = 0; count < 10; count++) {
      expect(publisher.hasRoom()).toBe(true)
      publisher.send(0)
    }
    connection.congested = true
    expect(publisher.hasRoom()).toBe(false)
  })
})
