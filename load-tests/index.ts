/** The load tests for those who start them: the command line. */
export { loadFlags, workNames } from './options.js'
export { runLoad } from './run.js'
