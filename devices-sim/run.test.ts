import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runSim, type ExitCode } from './run.js'
import { TestBroker } from './testing/broker.js'

const broker = new TestBroker()
let folder: string

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sim-'))
  await broker.start()
})

afterEach(async () => {
  rmSync(folder, { recursive: true })
  await broker.stop()
})

async function run(args: object, { isTTY = false, signal = new AbortController().signal } = {}) {
  let out = ''
  let err = ''
  const code: ExitCode = await runSim(
    { broker: broker.url.href, ...args },
    {
      out: { write: (text) => (out += text) },
      err: { write: (text) => (err += text), isTTY },
      environment: {},
      signal,
    },
  )
  return { code, out, err }
}

it('ends after its time with one JSON object', async () => {
  const { code, out, err } = await run({ devices: '6', for: '400ms', interval: '0.05', json: true })
  expect(code).toBe(0)
  expect(err).toBe('')
  expect(JSON.parse(out)).toMatchObject({
    devices: 6,
    devicesConnected: 6,
    errors: 0,
    profile: 'office',
    seed: 1,
  })
})

it('ends when told to, shows its status on a terminal and a summary', async () => {
  const abort = new AbortController()
  const running = run({ devices: '6', interval: '0.05' }, { isTTY: true, signal: abort.signal })
  await broker.until(() => broker.online === 6)
  abort.abort()
  const { code, out, err } = await running
  expect(code).toBe(0)
  expect(err).toContain('of 6 devices connected')
  expect(out).toContain('6 of 6 devices connected')
})

it('wrong options, profiles and files: 2, and nothing is connected', async () => {
  const connects = broker.connects
  writeFileSync(join(folder, 'bad.yaml'), 'sites: 3')
  for (const args of [
    { devices: '0' },
    { profile: 'nope' },
    { profile: join(folder, 'bad.yaml') },
    { passwordFile: join(folder, 'none') },
  ]) {
    const { code, err, out } = await run({ ...args, for: '1s', json: true })
    expect(code).toBe(2)
    expect(err).not.toBe('')
    if (out !== '') expect(JSON.parse(out)).toHaveProperty('error.code')
  }
  expect(broker.connects).toBe(connects)
})

it('a broker that cannot be reached: 1, with what to try', async () => {
  const { code, err } = await run({ broker: new URL('/wrong', broker.url).href, profile: fastProfile() })
  expect(code).toBe(1)
  expect(err).toContain('/wrong could not be reached')
  expect(err).toContain('Correct the path')
})

it('sends the token as the password, and never shows it', async () => {
  const file = join(folder, 'token')
  writeFileSync(file, 'secret-token\n')
  broker.connackCode = 0x86
  const { code, err, out } = await run({ tokenFile: file, json: true })
  broker.connackCode = 0
  expect(code).toBe(1)
  expect(broker.lastPassword).toBe('secret-token')
  expect(err + out).not.toContain('secret-token')
})

function fastProfile(): string {
  const file = join(folder, 'fast.yaml')
  writeFileSync(
    file,
    `
connection: { backoffMinSeconds: 0.01, backoffMaxSeconds: 0.01 }
sites: [{ name: s, rooms: [{ name: r }] }]
devices: [{ name: d, metrics: { t: { model: temperature } } }]
`,
  )
  return file
}
