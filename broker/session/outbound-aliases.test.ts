import { expect, it } from 'vitest'
import { OutboundAliases } from './outbound-aliases.js'

it('gives each topic an alias up to the maximum, then reuses the one unused for longest', () => {
  const aliases = new OutboundAliases(2)
  expect(aliases.assign('a')).toEqual({ alias: 1, fresh: true })
  expect(aliases.assign('b')).toEqual({ alias: 2, fresh: true })
  expect(aliases.assign('a')).toEqual({ alias: 1, fresh: false })
  expect(aliases.assign('__proto__')).toEqual({ alias: 2, fresh: true })
  expect(aliases.assign('a')).toEqual({ alias: 1, fresh: false })
  expect(aliases.assign('b')).toEqual({ alias: 2, fresh: true })
})

it('gives an alias that the client was never told of to the next topic', () => {
  const aliases = new OutboundAliases(2)
  aliases.assign('a')
  aliases.assign('b')
  aliases.revoke('a')
  expect(aliases.assign('c')).toEqual({ alias: 1, fresh: true })
  expect(aliases.assign('a')).toEqual({ alias: 2, fresh: true })
})
