import { readFileSync } from 'node:fs'

/** Linux counts CPU time in clock ticks: USER_HZ is 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

export interface ProcessUsage {
  /** User and system time of all threads since the start of the process. */
  readonly cpuSeconds: number
  /** Resident set size, bytes. */
  readonly rssBytes: number
}

/** What a process of this machine has used; undefined where there is no `/proc`, or no such process. */
export function processUsage(pid: number): ProcessUsage | undefined {
  try {
    return {
      cpuSeconds: cpuSecondsOf(readFileSync(`/proc/${pid}/stat`, 'utf8')),
      rssBytes: rssBytesOf(readFileSync(`/proc/${pid}/status`, 'utf8')),
    }
  } catch {
    return undefined
  }
}

/** What processes have used together; undefined when there are none, or one of them is not there. */
export function usageOf(pids: readonly number[]): ProcessUsage | undefined {
  const [first, ...others] = pids.map(processUsage)
  return others.reduce(
    (sum, usage) =>
      sum &&
      usage && {
        cpuSeconds: sum.cpuSeconds + usage.cpuSeconds,
        rssBytes: sum.rssBytes + usage.rssBytes,
      },
    first,
  )
}

/** proc(5): the name in parentheses may hold spaces and parentheses, so fields are counted behind its end. */
export function cpuSecondsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [user, system] = [14, 15].map((number) => Number(fields[number - 3]))
  return ((user ?? 0) + (system ?? 0)) / TICKS_PER_SECOND
}

export function rssBytesOf(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1_024
}
