import type { Clock } from '../contract/clock.js'

/**
 * Resolves to what `task` resolves to, or to undefined when that takes longer than `timeoutMs`; the signal tells
 * the task to stop. What the task does after that, a rejection included, goes nowhere.
 */
export async function withTimeout<T>(
  clock: Clock,
  timeoutMs: number,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const abort = new AbortController()
  const timeout = new Promise<undefined>((resolve) => {
    abort.signal.addEventListener('abort', () => resolve(undefined))
  })
  const timer = clock.schedule(timeoutMs, () => abort.abort())
  try {
    return await Promise.race([task(abort.signal), timeout])
  } finally {
    timer.cancel()
  }
}
