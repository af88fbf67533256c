import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { GatewayError, errorTable, isStoreRefusal, toldToClients } from './errors.js'

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

it('tells clients what a store refuses, not where it is', () => {
  const away = new GatewayError('STORE_UNWRITABLE', 'Redis (10.0.0.7:6379) is away.')
  const full = new GatewayError('QUOTA_EXCEEDED', 'The retained messages are as many as they may be.')
  expect([isStoreRefusal(away), isStoreRefusal(full), isStoreRefusal(new Error('x'))]).toEqual([
    true,
    false,
    false,
  ])
  expect(toldToClients(away)).toBe(errorTable.STORE_UNWRITABLE)
  expect(toldToClients(full)).toBe(full.message)
})
