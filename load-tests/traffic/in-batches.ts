/** Connections opened at a time, by one worker: enough to keep a broker busy, few enough for its listen queue. */
const AT_A_TIME = 64

/** Runs `task` for each item, some at a time; rejects with the first failure when all that had begun have ended. */
export async function inBatches<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let start = 0; start < items.length; start += AT_A_TIME) {
    const batch = await Promise.allSettled(items.slice(start, start + AT_A_TIME).map((item) => task(item)))
    for (const settled of batch) {
      if (settled.status === 'rejected') throw settled.reason
      results.push(settled.value)
    }
  }
  return results
}
