import { expect, it } from 'vitest'
import { duty } from './duty.js'
import { step } from './services.js'

function recorded() {
  const calls: string[] = []
  const service = step('pipelines', {
    start: () => Promise.resolve(void calls.push('start')),
    stop: () => Promise.resolve(void calls.push('stop')),
    readiness: () => ({ ready: false, reason: 'no' }),
  })
  return { calls, service }
}

it('begins at once where this process leads', async () => {
  const { calls, service } = recorded()
  const led = duty(service, true)
  await led.start()
  expect([led.name, led.readiness?.()]).toEqual(['pipelines', { ready: false, reason: 'no' }])
  await led.stop()
  expect(calls).toEqual(['start', 'stop'])
})

it('waits for its turn otherwise, and may be told before it has been started', async () => {
  const { calls, service } = recorded()
  const waiting = duty(service, false)
  await waiting.start()
  expect([calls, waiting.readiness?.()]).toEqual([[], { ready: true }])
  await Promise.all([waiting.lead(), waiting.lead()])
  expect(calls).toEqual(['start'])

  const early = duty(service, false)
  await early.lead()
  expect(calls).toEqual(['start'])
  await early.start()
  expect(calls).toEqual(['start', 'start'])
})

it('never begins once it has been stopped', async () => {
  const { calls, service } = recorded()
  const idle = duty(service, false)
  await idle.start()
  await idle.stop()
  await idle.lead()
  // A drain stops it, and the end of the gateway once more.
  await idle.stop()
  await idle.start()
  expect(calls).toEqual([])
})
