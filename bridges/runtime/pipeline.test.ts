import { describe, expect, it } from 'vitest'
import { Rejected, Retryable, type Transform } from '../../broker/contract/connector.js'
import { json } from '../codecs/json.js'
import { parseDuration } from '../duration.js'
import { TumblingWindow } from '../windows/tumbling/tumbling-window.js'
import { Pipeline, type PipelineParts } from './pipeline.js'
import { ManualClock } from '../../broker/contract/testing/manual-clock.js'
import { FedSource, KeptSink, RecordedEvents, recordOf, turn } from './testing.js'

function setUp(parts: Partial<PipelineParts> = {}) {
  const clock = new ManualClock(1_700_000_000_000)
  const events = new RecordedEvents()
  const source = new FedSource()
  const sink = new KeptSink()
  const codec = json.create({ type: 'json' })
  const pipeline = new Pipeline(
    {
      name: 'p',
      source,
      decoder: codec,
      transforms: [],
      window: undefined,
      encoder: codec,
      sink,
      onStop: 'flush',
      retry: { firstMs: 1_000, longestMs: 4_000, giveUpAfterMs: undefined },
      ...parts,
    },
    { clock, random: () => 0.999999, events },
  )
  return { clock, events, source, sink, pipeline }
}

function minuteWindow(): TumblingWindow {
  const d = (text: string) => parseDuration(text)!
  return new TumblingWindow({
    sizes: [d('1m')],
    by: [],
    value: 'value',
    time: undefined,
    timeUnit: 'ms',
    lateness: d('0ms'),
    idle: d('0ms'),
    maxAhead: d('10s'),
    maxBehind: d('1d'),
    maxGroups: 10,
    aggregates: ['count'],
  })
}

const doubled: Transform = {
  apply(record, emit) {
    emit({ ...record })
    emit({ ...record })
  },
}

describe('a pipeline', () => {
  it('takes records through its stages and settles them when they are written', async () => {
    const { pipeline, source, sink, events, clock } = setUp({ transforms: [doubled] })
    await pipeline.start()
    sink.failures = ['pending']
    source.feed(recordOf(1, { tokens: [1] }), recordOf(2, { tokens: [2] }))
    await turn()
    expect(source.settled).toEqual([])
    const stopped = pipeline.stop(1_000)
    await clock.pass(1_000)
    await stopped
    expect(source.settled).toEqual([])
    expect(events.totals['stopped']).toBe(4)
    expect([source.closed, sink.closed, clock.pendingTimers]).toEqual([true, true, 0])
  })

  it('survives every bad record, counted by reason and told at a bounded rate', async () => {
    const { pipeline, source, sink, events, clock } = setUp({
      transforms: [
        {
          apply(record, emit) {
            if (record.value === 'odd') throw new TypeError('a defect')
            if (record.value === 'skip') return
            if (record.value === 'bad') throw new Rejected('no_field', 'no field')
            emit(record)
          },
        },
      ],
    })
    await pipeline.start()
    const garbage = Array.from({ length: 5_000 }, () => recordOf(0, { payload: Buffer.from('{"a":') }))
    source.feed(...garbage, recordOf(0, { payload: Buffer.from([0xc3, 0x28]) }))
    source.feed(
      recordOf('odd', { tokens: [1] }),
      recordOf('skip', { tokens: [2] }),
      recordOf('bad', { tokens: [3] }),
    )
    source.feed(recordOf('good', { tokens: [4] }))
    await clock.pass(9_000)
    expect(sink.written).toEqual(['good'])
    expect(source.settled.at(-1)).toBe(4)
    expect(events.totals).toMatchObject({
      recordsIn: 5_005,
      recordsOut: 1,
      filtered: 1,
      undecodable: 5_001,
      failed: 1,
      no_field: 1,
    })
    expect(events.log.filter((line) => line.includes('undecodable'))).toEqual(['p dropped 1 undecodable t'])
    await clock.pass(2_000)
    expect(events.log.filter((line) => line.includes('undecodable'))).toEqual([
      'p dropped 1 undecodable t',
      'p dropped 5000 undecodable t',
    ])
    await pipeline.stop(1_000)
  })

  it('writes again after growing delays, in order, and reads nothing meanwhile', async () => {
    const { pipeline, source, sink, events, clock } = setUp()
    await pipeline.start()
    sink.failures = [new Retryable('away'), new Error('away'), new Retryable('away')]
    source.feed(recordOf('a', { tokens: [1] }))
    await turn()
    source.feed(recordOf('b', { tokens: [2] }))
    await clock.pass(6_999)
    expect(sink.written).toEqual([])
    await clock.pass(1)
    expect(sink.written).toEqual(['a', 'b'])
    expect(source.settled).toEqual([1, 2])
    expect(events.totals['retries']).toBe(3)
    expect(events.log).toEqual(['p starting', 'p running', 'p retrying sink 1', 'p retrying', 'p running'])
    await pipeline.stop(1_000)
  })

  it('gives up when its settings say so', async () => {
    const { pipeline, source, sink, events, clock } = setUp({
      retry: { firstMs: 1_000, longestMs: 1_000, giveUpAfterMs: 3_000 },
    })
    await pipeline.start()
    sink.failures = Array.from({ length: 4 }, () => new Retryable('away'))
    source.feed(recordOf('a', { tokens: [1] }))
    await clock.pass(3_000)
    expect(events.log).toContain('p dropped 1 gave_up t')
    expect(source.settled).toEqual([1])
    source.feed(recordOf('b', { tokens: [2] }))
    await clock.pass(1_000)
    expect(sink.written).toEqual(['b'])
    await pipeline.stop(1_000)
  })

  it('finds the one record that the sink refuses', async () => {
    const { pipeline, source, sink, events, clock } = setUp()
    await pipeline.start()
    sink.judge = (value) => {
      if (value === 2) throw new Rejected('refused', 'too large')
    }
    source.feed(recordOf(1, { tokens: [1] }), recordOf(2, { tokens: [2] }), recordOf(3, { tokens: [3] }))
    await clock.pass(1_000)
    expect(sink.written).toEqual([1, 3])
    expect(source.settled.at(-1)).toBe(3)
    expect(events.totals['refused']).toBe(1)
    await pipeline.stop(1_000)
  })

  it('settles what a window holds when the result is published', async () => {
    const { pipeline, source, sink, clock, events } = setUp({ window: minuteWindow() })
    await pipeline.start()
    source.feed(recordOf({ value: 1 }, { tokens: [1] }), recordOf({ value: 2 }, { tokens: [2] }))
    await clock.pass(20_000)
    expect(source.settled).toEqual([])
    await clock.pass(60_000)
    expect(sink.written).toHaveLength(1)
    expect(source.settled).toEqual([2])
    expect(events.totals['windowsClosed']).toBe(1)
    await pipeline.stop(1_000)
  })

  it('settles early rather than wait for messages that wait for its windows', async () => {
    const { pipeline, source, sink, clock, events } = setUp({ window: minuteWindow() })
    source.maxUnsettled = 4
    await pipeline.start()
    source.feed(...[1, 2, 3, 4].map((token) => recordOf({ value: 1 }, { tokens: [token] })))
    await clock.pass(1_000)
    expect(source.settled).toEqual([2])
    expect(events.totals['settledEarly']).toBe(2)
    await clock.pass(60_000)
    expect(sink.written).toMatchObject([{ count: 4 }])
    expect(source.settled).toEqual([2, 4])
    await pipeline.stop(1_000)
  })

  it.each([
    ['flush', [{ count: 2, partial: true }], [2]],
    ['discard', [], []],
  ] as const)('on stop: %s', async (onStop, written, settled) => {
    const { pipeline, source, sink } = setUp({ window: minuteWindow(), onStop })
    await pipeline.start()
    source.feed(recordOf({ value: 1 }, { tokens: [1] }), recordOf({ value: 2 }, { tokens: [2] }))
    await pipeline.stop(1_000)
    expect(sink.written).toMatchObject(written)
    expect(source.settled).toEqual(settled)
  })

  it('starts when its system comes, and stops at once while it is away', async () => {
    const first = setUp()
    first.source.openFailures = [new Retryable('away'), new Retryable('away')]
    await first.pipeline.start()
    expect(first.events.log).toEqual(['p starting', 'p retrying source 1', 'p retrying'])
    await first.clock.pass(3_000)
    expect(first.events.log.at(-1)).toBe('p running')
    await first.pipeline.stop(1_000)

    const second = setUp()
    second.source.openFailures = [new Retryable('away')]
    await second.pipeline.start()
    await second.pipeline.stop(60_000)
    expect(second.events.log.at(-1)).toBe('p stopped')
    expect(second.clock.pendingTimers).toBe(0)
  })

  it('stops without having been started', async () => {
    await setUp().pipeline.stop(1_000)
  })
})
