import { z } from 'zod'
import { humidity } from './humidity.js'
import { power } from './power.js'
import { temperature } from './temperature.js'

/** Every sensor model that a profile may name. A new one is one file beside this one, and one entry here. */
export const metricSchema = z.discriminatedUnion('model', [temperature, humidity, power])
