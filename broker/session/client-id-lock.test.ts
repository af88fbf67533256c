import { describe, expect, it } from 'vitest'
import { ClientIdLock } from './client-id-lock.js'

function gate() {
  let open: () => void = () => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { open, opened }
}

describe('ClientIdLock', () => {
  it('runs tasks of one id one after the other, in order, whether they fail or not', async () => {
    const lock = new ClientIdLock()
    const first = gate()
    const log: string[] = []
    const results = [
      lock.run('a', async () => {
        await first.opened
        log.push('first')
      }),
      lock.run('a', () => {
        log.push('second')
        return Promise.reject(new Error('no'))
      }),
      lock.run('a', () => Promise.resolve(log.push('third'))),
    ]
    const settled = Promise.allSettled(results)
    first.open()
    expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(log).toEqual(['first', 'second', 'third'])
  })

  it('does not hold up other ids, not even `__proto__`', async () => {
    const lock = new ClientIdLock()
    const held = gate()
    const waiting = lock.run('a', () => held.opened)
    await expect(lock.run('__proto__', () => Promise.resolve(1))).resolves.toBe(1)
    held.open()
    await waiting
    await lock.idle()
  })
})
