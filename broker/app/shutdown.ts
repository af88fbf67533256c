/** Signals that ask a process to end (Ctrl-C, a service manager, a closed terminal). */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * An AbortSignal that a first signal to the process aborts. A second one ends the process at once: whoever asks
 * twice does not want to wait.
 */
export function shutdownSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of SIGNALS) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(1)
      controller.abort(name)
    })
  }
  return controller.signal
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    // The listener holds no timer or socket: something else has to keep the process alive meanwhile.
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
