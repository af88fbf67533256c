/** Runs a synchronous task where the interface wants a promise; what it throws becomes the rejection. */
export function promised<T>(task: () => T): Promise<T> {
  return new Promise((resolve) => resolve(task()))
}

/** Iterates synchronously where the interface wants an asynchronous iterable. `items` is called at the first step. */
export function iterated<T>(items: () => Iterable<T>): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator](): AsyncIterator<T> {
      let iterator: Iterator<T> | undefined
      return {
        next: () => promised(() => (iterator ??= items()[Symbol.iterator]()).next()),
        return: () => promised(() => iterator?.return?.() ?? { done: true, value: undefined }),
      }
    },
  }
}
