import type { Clock } from '../../broker/contract/clock.js'
import type { BrokerTarget, ConnectorContext, PipelineEnd } from '../../broker/contract/connector.js'
import type { BridgeEvents } from '../../broker/contract/events.js'
import type { BrokerLink } from '../../broker/contract/port.js'
import type { PipelineConfig } from '../config.js'
import { codecOf, sinkOf, sourceOf, transformOf, windowOf } from '../connectors.js'
import { Pipeline } from './pipeline.js'

export interface PipelineEnvironment {
  readonly clock: Clock
  readonly random: () => number
  readonly events: BridgeEvents
  /** A link for one end of a pipeline; `target` undefined: the broker that the pipelines belong to. */
  readonly link: (pipeline: string, end: PipelineEnd, target: BrokerTarget | undefined) => BrokerLink
}

/** Makes a pipeline of its settings. Nothing is connected before it is started. */
export function buildPipeline(config: PipelineConfig, environment: PipelineEnvironment): Pipeline {
  const { name, source, sink, window, retry } = config
  const { clock, random, events, link } = environment
  const context: ConnectorContext = {
    pipeline: name,
    clock,
    random,
    link: (end, target) => link(name, end, target),
  }
  return new Pipeline(
    {
      name,
      source: sourceOf(source).create(source, context),
      decoder: codecOf(config.decode).create(config.decode),
      transforms: config.transforms.map((settings) => transformOf(settings).create(settings)),
      window: window === undefined ? undefined : windowOf(window).create(window, context),
      encoder: codecOf(config.encode).create(config.encode),
      sink: sinkOf(sink).create(sink, context),
      onStop: config.onStop,
      retry: {
        firstMs: retry.first.ms,
        longestMs: retry.longest.ms,
        giveUpAfterMs: retry.giveUpAfter?.ms,
      },
    },
    { clock, random, events },
  )
}
