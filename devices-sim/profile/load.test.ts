import { describe, expect, it } from 'vitest'
import { SettingsError } from '../../config/problem.js'
import { loadProfile, parseProfile, shippedProfiles } from './load.js'

const source = { name: 'test.yaml', environment: {} }

function problemsOf(text: string): readonly string[] {
  try {
    parseProfile(text, source)
  } catch (error) {
    if (error instanceof SettingsError) {
      expect(error.code).toBe('PROFILE_INVALID')
      return error.problems.map(({ path, where }) => `${path} (${where})`)
    }
    throw error
  }
  return []
}

describe('profiles that come with the simulator', () => {
  it.each(shippedProfiles())('%s is valid', (name) => {
    expect(loadProfile(name, {}).description).not.toBe('')
  })

  it('an unknown name lists the known ones', () => {
    expect(() => loadProfile('nope', {})).toThrow(
      expect.objectContaining({ code: 'PROFILE_INVALID', hint: expect.stringContaining('office') as string }),
    )
  })

  it('a missing file is named', () => {
    expect(() => loadProfile('./nope.yaml', {})).toThrow('./nope.yaml does not exist')
  })
})

describe('parseProfile', () => {
  it('reports every problem at once, with key paths and places', () => {
    expect(
      problemsOf(`
start: someday
jitter: 2
colour: blue
sites:
  - name: a/b
    rooms: []
devices:
  - name: meter
    metrics:
      power: { model: steam }
faults: { spike: { probability: 2 } }
`),
    ).toEqual([
      'start (test.yaml:2:8)',
      'jitter (test.yaml:3:9)',
      'sites[0].name (test.yaml:6:11)',
      'sites[0].rooms (test.yaml:7:12)',
      'devices[0].metrics.power.model (test.yaml:11:23)',
      'faults.spike.probability (test.yaml:12:33)',
      'colour (test.yaml:4:1)',
    ])
  })

  it('refuses names that stand twice, and a backoff that shrinks', () => {
    expect(
      problemsOf(`
connection: { backoffMinSeconds: 10, backoffMaxSeconds: 5 }
sites:
  - { name: a, rooms: [{ name: r }, { name: r }] }
  - { name: a, rooms: [{ name: r }] }
devices:
  - { name: d, metrics: { t: { model: temperature } } }
  - { name: d, metrics: { t: { model: temperature } } }
`),
    ).toEqual([
      'sites[1].name (test.yaml:5:13)',
      'sites[0].rooms[1].name (test.yaml:4:45)',
      'devices[1].name (test.yaml:8:13)',
      'connection.backoffMaxSeconds (test.yaml:2:57)',
    ])
  })

  it('an unknown key of a model is said with its path', () => {
    expect(
      problemsOf(`
sites: [{ name: a, rooms: [{ name: r }] }]
devices: [{ name: d, metrics: { t: { model: temperature, nois: 1 } } }]
`),
    ).toEqual(['devices[0].metrics.t.nois (test.yaml:3:58)'])
  })
})
