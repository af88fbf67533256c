/** The simulator for those who start it: the command line and the demo. */
export { startFleet, type Fleet } from './fleet.js'
export type { Reading } from './device.js'
export { loadProfile } from './profile/load.js'
export { runSim } from './run.js'
export { parseDuration, simFlags } from './options.js'
