import { expect, it } from 'vitest'
import { AckLine } from './ack-line.js'

it('[MQTT-4.6.0-2] sends acknowledgements in the order of the publishes, however they are decided', () => {
  const sent: [string, number, number][] = []
  const line = new AckLine({ sendAck: (type, id, code) => sent.push([type, id, code]) })
  const first = line.open('puback', 1)
  const second = line.open('pubrec', 2)
  const third = line.open('puback', 3)
  line.settle(third, 0x87)
  line.settle(second, 0)
  expect(sent).toEqual([])
  line.settle(first, 0x10)
  expect(sent).toEqual([
    ['puback', 1, 0x10],
    ['pubrec', 2, 0],
    ['puback', 3, 0x87],
  ])
})
