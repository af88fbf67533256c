import { z } from 'zod'
import type { Stream } from '../random.js'
import { HOUR } from '../surroundings/calendar.js'
import { clamp, dutyCycle, ornsteinUhlenbeck } from '../surroundings/processes.js'
import type { Process } from '../surroundings/processes.js'
import { defineModel, quantise } from './model.js'

const watts = z.number().min(0).max(1_000_000)

/** A compressor draws this much more for a moment when it starts. */
const INRUSH_FACTOR = 2.5
const INRUSH_SECONDS = 4

/** Outdoor temperature at which a building needs neither heating nor cooling, °C. */
const BALANCE_POINT = 17

export const power = defineModel({
  summary:
    'Electric power in W: standby, a refrigerator, heating or cooling that follows the weather, and people.',
  settings: z.strictObject({
    model: z.literal('power'),
    standbyWatts: watts
      .default(60)
      .describe('Always on, 0 to 1,000,000 W; half to one and a half times of it a device.'),
    fridgeWatts: watts.default(95).describe('Refrigerator while its compressor runs, 0 to 1,000,000 W.'),
    hvacWatts: watts.default(450).describe('Heating or cooling while it runs, 0 to 1,000,000 W.'),
    occupiedWatts: watts.default(900).describe('Light and machines of a full room, 0 to 1,000,000 W.'),
    noiseShare: z
      .number()
      .min(0)
      .max(1)
      .default(0.01)
      .describe('Deviation of a reading as a share of it, 0 to 1.'),
    resolution: z.number().min(0.001).max(1_000).default(1).describe('Step of the meter, 0.001 to 1,000 W.'),
  }),
  create(settings, { weather, room, stream }) {
    const standby = settings.standbyWatts * (0.5 + stream.derive('standby').uniform(0))
    const fridge = fridgeLoad(settings.fridgeWatts, stream.derive('fridge'))
    const use = useLoad(settings.occupiedWatts, room.occupancy.actual, stream.derive('use'))
    // Runs the longer, the further the weather is from comfortable, and less while nobody is there.
    const hvac = dutyCycle(stream.derive('hvac'), 0.6 * HOUR, (time) => {
      const demand = clamp(0.1 + 0.035 * Math.abs(weather.outdoor(time) - BALANCE_POINT), 0, 0.95)
      return demand * (0.35 + 0.65 * room.occupancy.expected(time))
    })
    const noise = stream.derive('noise')
    return (time, index) => {
      const load = standby + fridge(time) + use(time) + (hvac(time).on ? settings.hvacWatts : 0)
      return Math.max(
        0,
        quantise(load * (1 + settings.noiseShare * noise.gaussian(index)), settings.resolution),
      )
    }
  },
})

function fridgeLoad(watts: number, stream: Stream): Process {
  const compressor = dutyCycle(stream, 0.75 * HOUR, () => 0.38)
  return (time) => {
    const { on, progress, seconds } = compressor(time)
    if (!on) return 0
    // The draw falls a little as the pressure settles.
    return watts * (seconds < INRUSH_SECONDS ? INRUSH_FACTOR : 1.06 - 0.12 * progress)
  }
}

/** People switch whole machines: the load moves in steps, and stays for a while. */
function useLoad(watts: number, occupancy: Process, stream: Stream): Process {
  const machines = Array.from({ length: 6 }, (_, n) => ({
    share: 0.5 + stream.uniform(n),
    wanted: ornsteinUhlenbeck(stream.derive(`machine ${String(n)}`), 0.8 * HOUR),
  }))
  const total = machines.reduce((sum, machine) => sum + machine.share, 0)
  return (time) => {
    const level = occupancy(time)
    let share = 0
    // On when more people are there than the machine's own threshold, which wanders between about -0.1 and 1.1.
    for (const machine of machines) if (level > 0.5 + 0.3 * machine.wanted(time)) share += machine.share
    return watts * (share / total) * Math.min(1, level * 1.5)
  }
}
