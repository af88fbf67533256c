import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../broker/contract/clock.js'
import { ClientLink } from '../mqtt/client-link.js'
import { PortClient } from '../mqtt/port-link.js'
import { buildPipeline } from './build.js'
import { clientIdOf } from './client-id.js'
import { threadPortEnd } from './port-ends.js'
import { forwardEvents, type StopRequest, type WorkerReport, type WorkerStart } from './worker-protocol.js'

/** Entry of the worker thread that runs a gateway's pipelines. */
const host = parentPort
if (host === null) throw new Error('this file is the entry of a worker thread')

const { pipelines: configs, port } = workerData as WorkerStart
const report = (message: WorkerReport): void => {
  host.postMessage(message)
}
const client = new PortClient(threadPortEnd(port), setImmediate)
const services = { clock: systemClock, random: Math.random }
const pipelines = configs.map((config) =>
  buildPipeline(config, {
    ...services,
    events: forwardEvents(report),
    link: (pipeline, end, target) =>
      target === undefined
        ? client.link(`bridge:${pipeline}`)
        : new ClientLink(target, clientIdOf(pipeline, end), services),
  }),
)

host.on('message', ({ graceMs }: StopRequest) => {
  void Promise.all(pipelines.map((pipeline) => pipeline.stop(graceMs))).then(() => {
    client.close()
    // Nothing keeps the thread alive any more: it ends by itself, and that is the answer.
    host.close()
  })
})

await Promise.all(pipelines.map((pipeline) => pipeline.start()))
report({ kind: 'started' })
