import { z } from 'zod'
import type { Stream } from '../random.js'
import { probability } from './fault.js'

/** Whether the connection is cut right before the sample of this index. */
export type ConnectionFault = (index: number) => boolean

export const flapping = z
  .strictObject({
    devices: probability.describe('Share of devices with a bad connection, 0 to 1.'),
    probability: probability.describe('That such a device loses its connection at a sample, 0 to 1.'),
  })
  .describe('Some devices lose their connection again and again, without DISCONNECT.')
  .transform((settings) => (device: Stream): ConnectionFault => {
    const chance = device.uniform(-1) < settings.devices ? settings.probability : 0
    return (index) => device.uniform(index) < chance
  })
