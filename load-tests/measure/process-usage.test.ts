import { expect, it } from 'vitest'
import { cpuSecondsOf, rssBytesOf } from './process-usage.js'

it('reads CPU time behind a name with spaces and parentheses', () => {
  const fields = Array.from({ length: 49 }, (_, index) => index + 4)
  expect(cpuSecondsOf(`4711 (a) (b c) S ${fields.join(' ')}`)).toBe(0.29)
})

it('reads memory, and 0 of a process that has ended', () => {
  expect(rssBytesOf('Name:\tnode\nVmHWM:\t  999 kB\nVmRSS:\t   512 kB\nThreads:\t1\n')).toBe(524_288)
  expect(rssBytesOf('Name:\tnode\nState:\tZ (zombie)\n')).toBe(0)
})
