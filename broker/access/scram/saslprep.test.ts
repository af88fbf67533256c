import { describe, expect, it } from 'vitest'
import { saslprep } from './saslprep.js'

describe('saslprep', () => {
  it.each([
    // The examples of RFC 4013, section 3.
    ['I\u00adX', 'IX'],
    ['user', 'user'],
    ['USER', 'USER'],
    ['\u00aa', 'a'],
    ['\u2168', 'IX'],
    ['\u0007', undefined],
    // Mapping.
    ['a\u00a0b\u3000c', 'a b c'],
    ['\u200d', undefined],
    ['', undefined],
    ['\u{1f600}', '\u{1f600}'],
    ['cafe\u0301', 'caf\u00e9'],
    // Prohibited: control, private use, lone surrogate, non-character, unassigned, display, tagging.
    ['a\u0000', undefined],
    ['a\u0085', undefined],
    ['\ue000', undefined],
    ['\ud800', undefined],
    ['\ufdd0', undefined],
    ['\u0378', undefined],
    ['a\u202eb', undefined],
    ['\ufffd', undefined],
    ['\u{e0041}', undefined],
  ])('%j becomes %j', (text, prepared) => {
    expect(saslprep(text)).toBe(prepared)
  })

  it('changes nothing the second time', () => {
    for (const text of ['I\u00adX', '\u2168', 'a\u00a0b', '\u1e9b\u0323', '\u0344']) {
      const once = saslprep(text)
      expect(once === undefined ? undefined : saslprep(once)).toBe(once)
    }
  })
})
