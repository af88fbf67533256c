import { describe, expect, it } from 'vitest'
import { parseLoadOptions, type LoadArguments } from './options.js'

function problems(work: Parameters<typeof parseLoadOptions>[0], args: LoadArguments): readonly string[] {
  const parsed = parseLoadOptions(work, args)
  return parsed.ok ? [] : parsed.problems
}

describe('options of openclaw load', () => {
  it('are read with their units', () => {
    const parsed = parseLoadOptions('pairs', {
      duration: '2.5s',
      qos: '1',
      mqtt: '5',
      rate: '50%',
      peer: ['mosquitto', 'stock'],
      failBelow: ['ratio=8'],
    })
    expect(parsed).toMatchObject({
      ok: true,
      options: { duration: 2_500, qos: 1, mqtt: 5, rate: '50%', peer: ['mosquitto', 'stock'] },
    })
  })

  it('are all reported when they are wrong', () => {
    expect(
      problems('pairs', {
        target: 'http://x',
        qos: '3',
        payload: '5',
        peer: ['nats'],
        failBelow: ['speed=1'],
        fast: true,
      }),
    ).toEqual([
      expect.stringMatching(/^--target: found "http:\/\/x"; allowed: a URL/),
      expect.stringMatching(/^--peer: found "nats"; allowed: mosquitto, stock, stock-redis/),
      expect.stringMatching(/^--qos: found "3"; allowed: 0, 1 or 2/),
      expect.stringMatching(/^--payload: found "5"; allowed: from 12 to/),
      expect.stringMatching(/^--fail-below: found "speed=1"; allowed: ratio=8/),
      '--fast: there is no such option',
    ])
  })

  it.each([
    ['pairs', { target: 'ws://h', transport: 'tcp' }, '--transport'],
    ['pairs', { pid: '1' }, '--pid'],
    ['pairs', { target: 'ws://user:secret@h' }, '--target'],
    ['targets', { target: 'ws://h' }, '--target'],
    ['pairs', { rate: '5', outstanding: '5' }, '--rate'],
    ['pairs', { sessions: 'offline' }, '--sessions'],
    ['fanin', { workers: '2' }, '--workers'],
    ['slow', { outstanding: '2' }, '--outstanding'],
    ['storm', { nodes: '2' }, '--nodes'],
    ['pairs', { nodes: '2', target: 'ws://h' }, '--nodes'],
    ['pairs', { nodes: '2', store: 'level' }, '--nodes'],
    ['pairs', { nodes: '2', peer: ['stock'] }, '--nodes'],
    ['pairs', { sync: true, store: 'redis' }, '--sync'],
  ] as const)('are refused when they contradict each other: %s %o', (work, args, flag) => {
    expect(problems(work, args)).toEqual([expect.stringContaining(`${flag}: found`)])
  })
})
