/** Begin of the name of a test that was skipped because a program is not installed. */
export const MISSING = 'missing program:'
