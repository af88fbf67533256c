import { describe, expect, it } from 'vitest'
import { parseDuration, parseSimOptions, simFlags } from './options.js'

describe('parseSimOptions', () => {
  it('has a default for everything', () => {
    const parsed = parseSimOptions({})
    expect(parsed).toMatchObject({
      ok: true,
      options: { devices: 24, profile: 'office', seed: 1, json: false },
    })
  })

  it('reads what a command line hands over', () => {
    const parsed = parseSimOptions({
      broker: 'wss://broker.test/mqtt',
      devices: '2000',
      seed: '-7',
      for: '90s',
      qos: '0',
      mqtt: '3.1.1',
      connectRate: '0.5',
      json: true,
    })
    expect(parsed).toMatchObject({
      ok: true,
      options: { devices: 2_000, seed: -7, for: 90_000, qos: 0, mqtt: 4, connectRate: 0.5, json: true },
    })
  })

  it('says everything that is wrong at once', () => {
    const parsed = parseSimOptions({
      broker: 'http://x',
      devices: 'many',
      for: '3 weeks',
      prefix: 'a/b',
      passwordFile: 'a',
      tokenFile: 'b',
      colour: 'blue',
    })
    const options = parsed.ok ? [] : parsed.problems.map((problem) => problem.split(':')[0])
    expect(options).toEqual(['--broker', '--devices', '--for', '--prefix', '--colour', '--token-file'])
  })

  it('knows every flag that it offers', () => {
    for (const [flag] of simFlags) {
      const key = flag
        .slice(2)
        .split(' ')[0]!
        .replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
      const parsed = parseSimOptions({ [key]: {} })
      expect(parsed.ok ? [] : parsed.problems.join()).not.toContain('no such option')
    }
  })
})

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['20s', 20_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
  ])('%s', (text, ms) => expect(parseDuration(text)).toBe(ms))

  it.each(['', '5', 's', '-1s', '0s', '1d', '99999h', '1e3s'])('refuses %j', (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  )
})
