import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { errorTable } from './errors.js'

it('docs/errors.md lists every error with its meaning and what to do, and no other', () => {
  const rows = readFileSync('docs/errors.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()))
  const documented: unknown = Object.fromEntries(
    rows.map(([, code, meaning]) => [code?.replaceAll('`', ''), meaning]),
  )
  expect(documented).toEqual(errorTable)
  expect(
    rows.filter(([, , , remedy]) => remedy === undefined || !/\w\.$/.test(remedy.replace(/[`)]\.$/, 'x.'))),
  ).toEqual([])
})
