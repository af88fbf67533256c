/** The simulator for those who start it: the command line and the demo. */
export { startFleet, type Fleet, type FleetOptions } from './fleet.js'
export type { Reading } from './device.js'
export type { FleetStats } from './stats.js'
export { loadProfile, parseProfile, shippedProfiles } from './profile/load.js'
export type { Profile } from './profile/schema.js'
export { runSim, type ExitCode, type SimIo } from './run.js'
export { parseDuration, simFlags, type SimArguments } from './options.js'
