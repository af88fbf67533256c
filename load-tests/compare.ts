import { randomBytes } from 'node:crypto'
import type { Broker, Transport } from './peers/broker.js'
import type { MetricName } from './report/metrics.js'
import { spreadIn, type Row, type Run } from './report/report.js'
import { scenarios, type ScenarioName } from './scenarios/all.js'
import type { LoadSettings, Scenario } from './scenarios/scenario.js'
import type { Crew } from './worker/crew.js'

/** A broker of a comparison, and how it is reached. */
export interface Subject {
  readonly label: string
  readonly broker: () => Promise<Broker>
  /** Default: that of the settings. */
  readonly transport?: Transport
}

/** One row of a report, before it is measured. */
export interface Work {
  readonly title: string
  readonly scenario: ScenarioName
  readonly settings: LoadSettings
  readonly subjects: readonly Subject[]
  /** Default: the scenario's. */
  readonly figure?: MetricName
  /** Instead of the pace in `settings`: a share of the peak that `of` reaches with that pace. */
  readonly rateOfPeak?: { readonly share: number; readonly of: Subject }
  readonly targets?: Readonly<Record<string, number>>
}

export interface CompareOptions {
  readonly rounds: number
  readonly crew: Crew
  readonly signal: AbortSignal
  readonly progress: (text: string) => void
}

/** For the peak that a rate is a share of. */
const PEAK_RUNS = 3

/** All subjects do the work in turns, A B A B: what else the machine does falls on them alike. */
export async function compare(work: Work, options: CompareOptions): Promise<Row> {
  const scenario: Scenario = scenarios[work.scenario]
  const settings = await settledPace(work, options)
  const runs: Run[] = []
  for (let round = 1; round <= options.rounds; round++) {
    for (const subject of work.subjects) {
      options.signal.throwIfAborted()
      const where = `${work.title}: ${subject.label}, round ${round} of ${options.rounds}`
      const run = runOnce(work.scenario, settings, subject, {
        ...options,
        progress: (text) => options.progress(`${where}: ${text}`),
      })
      const result = await unlessAborted(options.signal, run)
      runs.push({ round, broker: subject.label, ...result })
    }
  }
  return {
    title: work.title,
    scenario: work.scenario,
    settings: shownSettings(settings, scenario.concerns),
    figure: work.figure ?? scenario.figure,
    brokers: work.subjects.map(({ label }) => label),
    runs,
    targets: work.targets ?? {},
  }
}

async function runOnce(
  name: ScenarioName,
  settings: LoadSettings,
  { broker: start, transport }: Subject,
  { crew, progress }: CompareOptions,
): Promise<Omit<Run, 'round' | 'broker'>> {
  const scenario: Scenario = scenarios[name]
  const broker = await start()
  if (scenario.freshBroker) await broker.restart?.()
  return scenario.run({
    broker,
    crew,
    settings: { ...settings, ...(transport !== undefined && { transport }) },
    runId: randomBytes(3).toString('hex'),
    progress,
  })
}

/** Rejects at once when the signal aborts; whoever ends the processes ends the run. */
async function unlessAborted<T>(signal: AbortSignal, run: Promise<T>): Promise<T> {
  let abort = () => {}
  const aborted = new Promise<T>((_resolve, reject) => {
    abort = () => reject(new Error('the load test was interrupted'))
    signal.addEventListener('abort', abort)
  })
  try {
    return await Promise.race([run, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

async function settledPace(work: Work, options: CompareOptions): Promise<LoadSettings> {
  const { rateOfPeak, settings } = work
  if (rateOfPeak === undefined) return settings
  const { share, of } = rateOfPeak
  const peak = await compare(
    { title: `${work.title}: peak`, scenario: work.scenario, settings, subjects: [of] },
    { ...options, rounds: PEAK_RUNS },
  )
  const perSecond = spreadIn(peak, of.label, 'publishesPerSecond')?.median ?? 0
  const messagesPerSecond = Math.max(1, Math.round(perSecond * share))
  return { ...settings, pace: { kind: 'rate', messagesPerSecond } }
}

/** As the options of the command say it. */
function shownSettings(
  settings: LoadSettings,
  concerns: readonly (keyof LoadSettings)[],
): Record<string, string | number> {
  const { pace } = settings
  const special: { [Name in keyof LoadSettings]?: [string, string | number] } = {
    version: ['mqtt', settings.version === 5 ? '5' : '3.1.1'],
    pace:
      pace.kind === 'closed' ? ['outstanding', pace.outstanding] : ['rate', `${pace.messagesPerSecond}/s`],
    payloadBytes: ['payload', `${settings.payloadBytes} B`],
    warmupMs: ['warm-up', `${settings.warmupMs / 1_000} s`],
    durationMs: ['duration', `${settings.durationMs / 1_000} s`],
    sampleMs: ['sample', `${settings.sampleMs / 1_000} s`],
  }
  return Object.fromEntries(
    concerns.map((name): [string, string | number] => special[name] ?? [name, plain(settings[name])]),
  )
}

function plain(value: LoadSettings[keyof LoadSettings]): string | number {
  return typeof value === 'object' ? value.kind : value
}
