import { spawn } from 'node:child_process'
import { mkdtemp, mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ManualClock } from '../../contract/testing/manual-clock.js'
import { RecordedEvents, roomy, collect, keep, readAll } from '../conformance/bench.js'
import { LevelStore } from './level-store.js'

const CLIENTS = ['a', 'b', 'c']
const ROUNDS = 6
/** Blocks of 512 bytes: table files (up to 2 MiB) fit, the log does not reach the size at which a new one begins. */
const FILE_LIMIT = '5000'
const SEED = Number(process.env['SEED'] ?? 20_261_121)

/** What the writer has said, over all rounds. */
interface Said {
  readonly accepting: Map<number, string>
  readonly accepted: Set<number>
  readonly settling: Set<string>
  readonly settled: Set<string>
  readonly releasing: Set<string>
  readonly released: Set<string>
  readonly failures: string[]
}

let folder: string
let writer: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'openclaw-kill-'))
  // Below node_modules, for the writer imports classic-level from there.
  const cache = fileURLToPath(new URL('../../../node_modules/.cache/openclaw/', import.meta.url))
  await mkdir(cache, { recursive: true })
  writer = join(cache, `kill-writer-${process.pid}.mjs`)
  const entryPoints = [fileURLToPath(new URL('kill-writer.ts', import.meta.url))]
  await build({
    entryPoints,
    outfile: writer,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  })
})

afterAll(async () => {
  await rm(folder, { recursive: true })
  await rm(writer)
})

/** Lets the writer work, kills it after so many confirmed accepts, and takes down what it said. */
async function killed(
  directory: string,
  said: Said,
  killAfter: number,
  seed: number,
  limit = 'unlimited',
): Promise<void> {
  const first = Math.max(0, ...said.accepting.keys()) + 1
  // A file that may not grow further fails as a full disk does: with a part of the write done.
  const command = `ulimit -f ${limit}; exec "$0" "$@"`
  const child = spawn(
    'sh',
    ['-c', command, process.execPath, writer, directory, String(first), String(seed)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let rest = ''
  let confirmed = 0
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      takeDown(said, line)
      if (line.startsWith('accepted') && ++confirmed === killAfter) child.kill('SIGKILL')
    }
  })
  const signal = await new Promise((resolve) => child.on('close', (_code, by) => resolve(by)))
  expect(signal).toBe('SIGKILL')
}

function takeDown(said: Said, line: string): void {
  const [verb, one = '', two = ''] = line.split(' ')
  if (verb === 'accepting') said.accepting.set(Number(one), two)
  else if (verb === 'accepted') said.accepted.add(Number(one))
  else if (verb === 'failed' || verb === 'recovered') said.failures.push(verb)
  else if (verb === 'open') return
  else if (verb === 'settling' || verb === 'settled' || verb === 'releasing' || verb === 'released')
    said[verb].add(`${one} ${two}`)
  else throw new Error(`the writer said: ${line}`)
}

const nothingSaid = (): Said => ({
  accepting: new Map(),
  accepted: new Set(),
  settling: new Set(),
  settled: new Set(),
  releasing: new Set(),
  released: new Set(),
  failures: [],
})

describe('a killed process', { timeout: 120_000 }, () => {
  it(`leaves every confirmed write whole and in order, and nothing half written (seed ${SEED})`, async () => {
    const directory = join(folder, 'killed')
    const said = nothingSaid()
    for (let round = 0; round < ROUNDS; round++) {
      await killed(directory, said, 1 + ((SEED * (round + 1) * 7_919) % 3_000), SEED + round)
      await check(directory, said)
    }
    expect(said.accepted.size).toBeGreaterThan(ROUNDS)
    expect(said.failures).toEqual([])
  })

  it(`loses nothing that was confirmed between writes that failed half way (seed ${SEED})`, async () => {
    const directory = join(folder, 'full')
    const said = nothingSaid()
    for (let round = 0; round < 2; round++) {
      await killed(directory, said, 6_000, SEED + round, FILE_LIMIT)
      await check(directory, said)
    }
    expect(said.failures).toContain('failed')
    expect(said.failures).toContain('recovered')
  })
})

/**
 * Which accepts took place is told by their packet identifiers. The k-th of them for a client has sequence k: from
 * that follows what each queue has to hold, whatever was under way when the process was killed.
 */
async function check(directory: string, said: Said): Promise<void> {
  const events = new RecordedEvents()
  const limits = { ...roomy, queuedMessages: 1_000_000, queuedBytes: 1e12 }
  const store = new LevelStore({ directory, sync: false }, limits, events, new ManualClock())
  await store.open()
  expect(events.lines.filter((line) => line.startsWith('entryDamaged'))).toEqual([])

  const sessions = await Promise.all(CLIENTS.map((clientId) => store.openSession(clientId, keep)))
  const tookPlace = (number: number): boolean => sessions[0]?.incoming.has((number % 65_535) + 1) === true
  expect([...said.accepted].filter((number) => !tookPlace(number))).toEqual([])

  const wrong: string[] = []
  for (const session of sessions) {
    const entries = await readAll(session)
    expect(entries.length).toBe(session.queued)
    const queue = new Map(entries.map(({ sequence, message }) => [sequence, message]))
    let sequence = 0
    for (const [number, recipients] of said.accepting) {
      if (!recipients.includes(session.clientId) || !tookPlace(number)) continue
      const name = `${session.clientId} ${++sequence}`
      const present = queue.has(sequence)
      const message = queue.get(sequence)
      queue.delete(sequence)
      if (present ? said.settled.has(name) : !said.settling.has(name))
        wrong.push(`${name} present: ${present}`)
      if (!present) continue
      if (message === undefined ? !said.releasing.has(name) : said.released.has(name))
        wrong.push(`${name} released: ${message === undefined}`)
      if (message !== undefined && numberIn(message.payload) !== number)
        wrong.push(`${name} is ${numberIn(message.payload)} instead of ${number}`)
    }
    wrong.push(...[...queue.keys()].map((left) => `${session.clientId} ${left} out of nowhere`))
  }
  expect(wrong).toEqual([])

  for (const messages of await collect(store.retained('retained/+')))
    for (const { topic, payload } of messages) {
      const slot = Number(topic.split('/')[1])
      const last = [...said.accepting.keys()].filter((n) => n % 10 === slot && tookPlace(n)).at(-1)
      expect([topic, numberIn(payload)]).toEqual([topic, last])
    }
  await store.close()
}

function numberIn(payload: Buffer): number {
  return Number(payload.toString().split(' ')[0])
}
