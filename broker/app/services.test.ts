import { describe, expect, it } from 'vitest'
import { ServiceStack, step } from './services.js'

/** Three services; `second` starts when the test says so. */
function stackOfThree() {
  const log: string[] = []
  let go: (error?: Error) => void = () => {}
  const plain = (name: string) =>
    step(name, {
      start: () => Promise.resolve(void log.push(`${name} started`)),
      stop: () => Promise.resolve(void log.push(`${name} stopped`)),
    })
  const second = step('second', {
    start: () =>
      new Promise((resolve, reject) => {
        go = (error) => {
          log.push('second started')
          if (error === undefined) resolve()
          else reject(error)
        }
      }),
    stop: () => Promise.resolve(void log.push('second stopped')),
  })
  const failures: string[] = []
  const stack = new ServiceStack([plain('first'), second, plain('third')], (service) =>
    failures.push(service),
  )
  return { stack, log, failures, go: (error?: Error) => setImmediate(() => go(error)) }
}

describe('the services of a gateway', () => {
  it('start in order and stop in reverse, however often they are stopped', async () => {
    const { stack, log, go } = stackOfThree()
    go()
    await stack.start()
    expect(stack.readiness()[0]?.readiness).toEqual({ ready: true })
    await Promise.all([stack.stop(), stack.stop()])
    expect(log).toEqual([
      'first started',
      'second started',
      'third started',
      'third stopped',
      'second stopped',
      'first stopped',
    ])
  })

  it('are all stopped when one cannot start', async () => {
    const { stack, log, go } = stackOfThree()
    go(new Error('occupied'))
    await expect(stack.start()).rejects.toThrow('occupied')
    expect(log.slice(2)).toEqual(['second stopped', 'first stopped'])
    expect(stack.readiness()[0]?.readiness).toEqual({ ready: false, reason: 'the gateway is stopped' })
  })

  it('stopped while they start: what is starting starts, the rest does not, and nothing stays', async () => {
    const { stack, log, go } = stackOfThree()
    const started = expect(stack.start()).rejects.toMatchObject({ code: 'NOT_RUNNING' })
    await new Promise(setImmediate)
    const stopped = stack.stop()
    go()
    await Promise.all([started, stopped])
    expect(log).toEqual(['first started', 'second started', 'second stopped', 'first stopped'])
  })

  it('are all stopped when one of them cannot be', async () => {
    const failures: string[] = []
    let closed = false
    const stack = new ServiceStack(
      [
        step('good', { stop: () => Promise.resolve(void (closed = true)) }),
        step('bad', { stop: () => Promise.reject(new Error('stuck')) }),
      ],
      (service) => failures.push(service),
    )
    await stack.start()
    await stack.stop()
    expect([closed, failures]).toEqual([true, ['bad']])
  })
})
