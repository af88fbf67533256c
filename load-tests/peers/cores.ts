import { spawnSync } from 'node:child_process'
import { cpus } from 'node:os'

/** Cores as `taskset` writes them; undefined: not pinned. */
export interface Cores {
  /** Of the broker: one. */
  readonly broker: string | undefined
  /** Of the load: all others. */
  readonly load: string | undefined
}

/** The broker gets the first core for itself, where there are two and `taskset` (util-linux) to pin processes with. */
export function chooseCores(): Cores {
  const count = cpus().length
  const canPin = count > 1 && spawnSync('taskset', ['--version'], { stdio: 'ignore' }).status === 0
  if (!canPin) return { broker: undefined, load: undefined }
  return { broker: '0', load: count === 2 ? '1' : `1-${count - 1}` }
}

/** `taskset` becomes the program, so that the process keeps its id. */
export function pinned(
  cores: string | undefined,
  command: readonly [string, ...string[]],
): [string, ...string[]] {
  return cores === undefined ? [...command] : ['taskset', '-c', cores, ...command]
}
