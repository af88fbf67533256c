import { systemClock } from '../contract/clock.js'
import type { PipelineProgress } from '../contract/events.js'
import { Telemetry } from './telemetry.js'

/** `docs/metrics.md`, from the registry itself. */
export async function metricsPage(): Promise<string> {
  const telemetry = new Telemetry({
    config: { log: { level: 'silent', format: 'json' } },
    node: OPEN_SET,
    listeners: [OPEN_SET],
    authenticators: [OPEN_SET],
    clock: systemClock,
  })
  // A pipeline's series appear when it starts, its lag with the first window.
  telemetry.bridges.pipelineState(OPEN_SET, 'starting', undefined)
  telemetry.bridges.pipelineProgress(OPEN_SET, FIRST_WINDOW)
  const metrics = await telemetry.metrics()
  await telemetry.stop()
  const rows = metrics.map(({ name, help, type, values }) => {
    const labels = labelsOf(values.map((value) => value.labels))
    return `| \`${name}\` | ${type} | ${help} | ${labels} |`
  })
  const table = ['| metric | type | | labels |', '|---|---|---|---|', ...rows].join('\n')
  return `${INTRODUCTION}\n\n${table}\n`
}

const INTRODUCTION = `# Metrics

<!-- Written by \`npm run docs\` from broker/telemetry/. -->

\`/metrics\` on the admin listener gives them in the text format of Prometheus. Labels are closed sets: no client can make up a value, and
every value that is listed here is there from the start with 0. \`listener\`, \`authenticator\` and \`pipeline\` hold the names of the configuration.
A histogram \`x\` appears as \`x_bucket\`, \`x_sum\` and \`x_count\`.
With \`node.workers\` above 1 every series has a label \`worker\` in addition: [operations.md](operations.md#a-process-a-core).`

/** Stands for names that come from the configuration. */
const OPEN_SET = 'name'

const FIRST_WINDOW: PipelineProgress = {
  recordsIn: 0,
  recordsOut: 0,
  filtered: 0,
  dropped: {},
  partlyLate: 0,
  windowsClosed: 1,
  retries: 0,
  settledEarly: 0,
  lagMs: 0,
  groups: 0,
  unsettled: 0,
}

function labelsOf(samples: readonly Partial<Record<string, string | number>>[]): string {
  const values = new Map<string, Set<string>>()
  for (const sample of samples) {
    for (const [label, value] of Object.entries(sample)) {
      if (label === 'le') continue
      const known = values.get(label) ?? new Set()
      if (value !== undefined && value !== OPEN_SET) known.add(String(value))
      values.set(label, known)
    }
  }
  return [...values]
    .map(([label, known]) =>
      known.size === 0 || known.has(process.version)
        ? `\`${label}\``
        : `\`${label}\`: ${[...known].map((value) => `\`${value}\``).join(', ')}`,
    )
    .join('; ')
}
