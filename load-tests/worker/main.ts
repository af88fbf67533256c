import { GatewayError } from '../../broker/contract/errors.js'
import { Crowd } from '../traffic/crowd.js'
import { Queues } from '../traffic/queues.js'
import { RetainedMessages } from '../traffic/retained.js'
import { Traffic } from '../traffic/traffic.js'
import type { AnswerOf, ArgumentOf, StepName, StepReply, StepRequest } from './protocol.js'

/**
 * A process that makes load: a child of the command, so that it can have a core of its own and so that there can be
 * several. It does what it is told over its IPC channel, and ends with it.
 */

let traffic: Traffic | undefined
let crowd: Crowd | undefined
let retained: RetainedMessages | undefined
let queues: Queues | undefined

type Handlers = {
  [Name in StepName]: (argument: ArgumentOf<Name>) => AnswerOf<Name> | Promise<AnswerOf<Name>>
}

const handlers: Handlers = {
  'traffic.open': (plan) => (traffic = new Traffic(plan)).open(),
  'traffic.start': () => begun(traffic).start(),
  'traffic.beginWindow': () => begun(traffic).beginWindow(),
  'traffic.endWindow': () => begun(traffic).endWindow(),
  'traffic.stopReading': (count) => begun(traffic).stopReading(count),
  'traffic.stop': () => begun(traffic).stop(),
  'traffic.settle': (sent) => begun(traffic).settle(sent),
  'traffic.close': () => begun(traffic).close(),
  'crowd.connect': (plan) => (crowd = new Crowd(plan)).connect(),
  'crowd.subscribe': (filters) => begun(crowd).subscribe(filters),
  'crowd.returned': () => begun(crowd).returned(),
  'crowd.close': () => begun(crowd).close(),
  'retained.fill': (plan) => (retained = new RetainedMessages(plan)).fill(),
  'retained.read': (reader) => begun(retained).read(reader),
  'retained.clear': () => begun(retained).clear(),
  'queues.prepare': (plan) => (queues = new Queues(plan)).prepare(),
  'queues.fill': () => begun(queues).fill(),
  'queues.drain': () => begun(queues).drain(),
  'queues.clear': () => begun(queues).clear(),
}

function begun<T>(work: T | undefined): T {
  if (work === undefined) throw new Error('the first step of the work was left out')
  return work
}

async function perform({ id, step, argument }: StepRequest): Promise<StepReply> {
  try {
    const handler = handlers[step] as (argument: unknown) => unknown
    return { id, ok: true, value: await handler(argument) }
  } catch (error) {
    if (error instanceof GatewayError) return { id, ok: false, code: error.code, message: error.message }
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { id, ok: false, code: 'INTERNAL', message }
  }
}

process.on('message', (request: StepRequest) => {
  void perform(request).then((reply) => process.send?.(reply))
})
process.once('disconnect', () => process.exit())
// Ctrl-C reaches the whole group: the command ends its workers when it has cleaned up.
process.on('SIGINT', () => {})
