import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { simFlags } from '../options.js'
import { profileReference, referenceMarkers } from './reference.js'

const page = readFileSync('docs/simulator.md', 'utf8')

it('docs/simulator.md holds the reference of the schema', () => {
  const { begin, end } = referenceMarkers
  const wanted = `${begin}\n\n${profileReference()}\n\n${end}`
  expect(page.includes(wanted), 'docs/simulator.md is stale: npm run docs').toBe(true)
})

it('every key is described', () => {
  for (const line of profileReference().split('\n')) expect(line).toMatch(/: \S/)
})

it('docs/simulator.md names every option', () => {
  for (const [flag] of simFlags) expect(page).toContain(`\`${flag}\``)
})
