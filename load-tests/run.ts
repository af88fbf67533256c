import { mkdirSync, writeFileSync } from 'node:fs'
import { GatewayError } from '../broker/contract/errors.js'
import { Bench } from './bench.js'
import { compare, type Subject, type Work } from './compare.js'
import {
  OptionFileError,
  parseLoadOptions,
  readOptionFile,
  workNames,
  type LoadArguments,
  type LoadOptions,
} from './options.js'
import type { Fleet, PeerSettings } from './peers/broker.js'
import { chooseCores, type Cores } from './peers/cores.js'
import { remoteBroker } from './peers/remote-broker.js'
import { htmlReport } from './report/html/page.js'
import { describeMachine } from './report/machine.js'
import { profileSummaries } from './report/profile.js'
import { withSummaries, type LoadReport, type Row } from './report/report.js'
import { terminalReport } from './report/terminal.js'
import { settingsOf, type ScenarioName } from './scenarios/all.js'
import type { LoadSettings } from './scenarios/scenario.js'
import { targetWork } from './targets.js'
import { brokenThresholds } from './thresholds.js'
import { Crew } from './worker/crew.js'

export interface LoadIo {
  /** The report. */
  readonly out: Output
  /** Progress and problems. */
  readonly err: Output
  /** Ends the run (Ctrl-C); what was started for it is stopped. */
  readonly signal: AbortSignal
  /** The arguments, for the report. */
  readonly command: string
}

/** As `process.stdout`. */
export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** 0: done; 1: failed, or a threshold was broken; 2: wrong usage. */
export type ExitCode = 0 | 1 | 2

type WorkName = ScenarioName | 'targets'

const ROUNDS = { scenario: 3, targets: 9 }
/** `limits.receiveMaximum` and `max_inflight_messages`, unless more are to be outstanding. */
const INFLIGHT = 100
const QUEUED = 10_000

/** `openclaw load`: runs a scenario, or all rows of the target table. Never rejects for what a user does. */
export async function runLoad(work: string, args: LoadArguments, io: LoadIo): Promise<ExitCode> {
  if (!isWorkName(work)) {
    io.err.write(`SCENARIO: found ${work}; allowed: ${workNames.join(', ')}\n`)
    return 2
  }
  const parsed = parseLoadOptions(work, args)
  if (!parsed.ok) {
    io.err.write(`${parsed.problems.join('\n')}\n`)
    return 2
  }
  try {
    return await loadAndReport(work, parsed.options, io)
  } catch (error) {
    if (io.signal.aborted) return 1
    if (error instanceof OptionFileError) {
      io.err.write(`${error.message}\n`)
      return 2
    }
    if (!(error instanceof GatewayError)) throw error
    io.err.write(`${error.code}: ${error.message}\n${error.hint === undefined ? '' : `${error.hint}\n`}`)
    return 1
  }
}

async function loadAndReport(work: WorkName, options: LoadOptions, io: LoadIo): Promise<ExitCode> {
  const { json, html, cpuProf, workers = 1 } = options
  const cores = chooseCores()
  const machine = describeMachine(cores, workers)
  const startedAt = new Date().toISOString()
  if (cpuProf !== undefined) mkdirSync(cpuProf, { recursive: true })

  const status = statusLine(io.err)
  const bench = new Bench(peerSettings(work, options, cores), options.store ?? 'level', (kind) =>
    status.show(`starting ${kind}`),
  )
  const crew = Crew.start(workers, cores.load)
  const rounds = options.rounds ?? (work === 'targets' ? ROUNDS.targets : ROUNDS.scenario)
  let report: LoadReport
  try {
    const works = worksOf(work, options, bench)
    const rows: Row[] = []
    for (const piece of works) {
      rows.push(await compare(piece, { rounds, crew, signal: io.signal, progress: status.show }))
      status.clear()
      if (work === 'targets') io.err.write(`measured: ${piece.title}\n`)
    }
    const brokers = await describeBrokers(works.flatMap((piece) => piece.subjects))
    report = { format: 1, startedAt, command: io.command, machine, brokers, rows }
  } finally {
    status.clear()
    await crew.stop()
    await bench.stop()
  }
  io.out.write(json ? `${JSON.stringify(withSummaries(report), null, 2)}\n` : `${terminalReport(report)}\n`)
  if (html !== undefined) writeFileSync(html, htmlReport(report))
  if (cpuProf !== undefined) io.err.write(`${profileSummaries(cpuProf)}\n`)
  const broken = brokenThresholds(report, options.failBelow, options.failAbove)
  for (const text of broken) io.err.write(`${text}\n`)
  return broken.length === 0 ? 0 : 1
}

function worksOf(work: WorkName, options: LoadOptions, bench: Bench): Work[] {
  const asked = askedSettings(options)
  if (work === 'targets') return targetWork(bench, asked, options.only)

  const own = ownSubject(options, bench)
  const peers = options.peer.map((kind): Subject => ({
    label: kind,
    broker: () => bench.broker(kind, fleetOf(options)),
  }))
  const share = options.rate?.endsWith('%') === true ? Number.parseFloat(options.rate) / 100 : undefined
  return [
    {
      title: work,
      scenario: work,
      settings: settingsOf(work, asked),
      subjects: [own, ...peers],
      ...(share !== undefined && { rateOfPeak: { share, of: peers[0] ?? own } }),
    },
  ]
}

function ownSubject(options: LoadOptions, bench: Bench): Subject {
  const { target, pid, sync, nodes } = options
  if (target === undefined) {
    const kind = nodes === undefined ? (sync ? 'gateway-sync' : 'gateway') : 'gateway-redis'
    return { label: kind, broker: () => bench.broker(kind, fleetOf(options)) }
  }
  const { passwordFile, caFile } = options
  const broker = remoteBroker(
    {
      url: target,
      ca: caFile === undefined ? undefined : readOptionFile('--ca-file', caFile),
      // MQTT 3.1.1 allows a password only with a user name [MQTT-3.1.2-22].
      username: options.username ?? (passwordFile === undefined ? undefined : 'load'),
      password:
        passwordFile === undefined ? undefined : readOptionFile('--password-file', passwordFile).trim(),
    },
    pid,
  )
  return { label: 'target', broker: () => Promise.resolve(broker) }
}

/** Undefined: one node, and no Redis that it does not want by itself. */
function fleetOf({ nodes }: LoadOptions): Fleet | undefined {
  return nodes === undefined ? undefined : { nodes, clients: 'apart' }
}

/** The settings that the options name; what they do not name is the scenario's. */
function askedSettings(options: LoadOptions): Partial<LoadSettings> {
  const { rate, outstanding } = options
  const asked: { [Name in keyof LoadSettings]: LoadSettings[Name] | undefined } = {
    transport: options.transport ?? transportOf(options.target),
    version: options.mqtt,
    qos: options.qos,
    payloadBytes: options.payload,
    publishers: options.publishers,
    receivers: options.receivers,
    pace:
      rate !== undefined && !rate.endsWith('%')
        ? { kind: 'rate', messagesPerSecond: Number(rate) }
        : outstanding === undefined
          ? undefined
          : { kind: 'closed', outstanding },
    sessions: options.sessions,
    connections: options.connections,
    filters: options.filters,
    messages: options.messages,
    readers: options.readers,
    warmupMs: options.warmup,
    durationMs: options.duration,
    sampleMs: options.sample,
    patienceMs: undefined,
  }
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined))
}

/** Peers are reached as the target is. */
function transportOf(target: string | undefined): LoadSettings['transport'] | undefined {
  if (target === undefined) return undefined
  const transports: Readonly<Record<string, LoadSettings['transport']>> = {
    'ws:': 'ws',
    'wss:': 'wss',
    'mqtts:': 'tls',
    'tls:': 'tls',
  }
  return transports[new URL(target).protocol] ?? 'tcp'
}

function peerSettings(work: WorkName, options: LoadOptions, cores: Cores): PeerSettings {
  const transport = options.transport ?? transportOf(options.target)
  return {
    inflight: Math.max(INFLIGHT, options.outstanding ?? 0),
    queued: Math.max(QUEUED, options.messages ?? 0),
    tls: work === 'targets' || transport === 'wss' || transport === 'tls',
    cores: cores.broker,
    profiles: options.cpuProf,
  }
}

/** Each broker once, however many ways it was reached. */
async function describeBrokers(subjects: readonly Subject[]): Promise<LoadReport['brokers']> {
  const brokers = await Promise.all(subjects.map((subject) => subject.broker()))
  return [...new Set(brokers)].map(({ name, version, settings }) => ({ name, version, settings }))
}

/** A line that rewrites itself on a terminal; nothing elsewhere. */
function statusLine(err: Output): { readonly show: (text: string) => void; readonly clear: () => void } {
  const clear = () => {
    if (err.isTTY === true) err.write('\r\x1b[K')
  }
  return {
    show: (text) => {
      clear()
      if (err.isTTY === true) err.write(text.slice(0, (err.columns ?? 120) - 1))
    },
    clear,
  }
}

function isWorkName(name: string): name is WorkName {
  return (workNames as readonly string[]).includes(name)
}
