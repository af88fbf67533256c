import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Of a `.cpuprofile`, as V8 writes it: what is read of it. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

const SHOWN = 25
/** Time in which nothing ran. */
const IDLE = new Set(['(idle)', '(root)'])

/** The functions in which a process spent most of its time itself, for each profile in a folder. */
export function profileSummaries(directory: string): string {
  const files = readdirSync(directory).filter((name) => name.endsWith('.cpuprofile'))
  return files
    .map((name) => {
      const profile = JSON.parse(readFileSync(join(directory, name), 'utf8')) as CpuProfile
      return [join(directory, name), ...selfTimes(profile).slice(0, SHOWN)].join('\n')
    })
    .join('\n\n')
}

/** One line a function, most time first: share of the busy time, name, place. */
export function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): string[] {
  const places = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
      id,
      `${functionName === '' ? '(anonymous)' : functionName} ${shortPlace(url)}${url === '' ? '' : `:${lineNumber + 1}`}`.trim(),
    ]),
  )
  const micros = new Map<string, number>()
  for (const [index, id] of samples.entries()) {
    const place = places.get(id) ?? ''
    micros.set(place, (micros.get(place) ?? 0) + (timeDeltas[index] ?? 0))
  }
  const busy = [...micros].filter(([place]) => !IDLE.has(place)).toSorted(([, a], [, b]) => b - a)
  const total = busy.reduce((sum, [, time]) => sum + time, 0)
  return busy.map(([place, time]) => `${((100 * time) / total).toFixed(1).padStart(5)} %  ${place}`)
}

function shortPlace(url: string): string {
  return url.startsWith('file:') ? relative('.', fileURLToPath(url)) : url
}
