import type { Clock } from '../broker/contract/clock.js'
import type { BrokerTarget } from '../broker/contract/connector.js'
import type { BridgeEvents } from '../broker/contract/events.js'
import type { PipelineConfig } from './config.js'
import { ClientLink } from './mqtt/client-link.js'
import { buildPipeline } from './runtime/build.js'
import { clientIdOf } from './runtime/client-id.js'
import { Summary, type BridgesSummary } from './summary.js'

export interface RunBridgesOptions {
  readonly pipelines: readonly PipelineConfig[]
  /** Broker of every source and sink that names no other one. `clientId` is the begin of all client identifiers. */
  readonly broker: BrokerTarget
  readonly clock: Clock
  readonly random: () => number
  readonly events: BridgeEvents
  /** Time for the pipelines to stop in order, milliseconds. */
  readonly graceMs: number
}

export interface RunningBridges {
  /** Stops in the order of the data. Resolves with what the pipelines have done; the same for every call. */
  stop(): Promise<BridgesSummary>
}

/**
 * Runs pipelines alone, beside any MQTT broker. Resolves when each of them runs or has made its first attempt;
 * a broker that is away is tried again until it is there.
 */
export async function runBridges(options: RunBridgesOptions): Promise<RunningBridges> {
  const { broker, clock, random, graceMs } = options
  const summary = new Summary(options.events, clock)
  const pipelines = options.pipelines.map((config) =>
    buildPipeline(config, {
      clock,
      random,
      events: summary,
      link: (pipeline, end, target) =>
        new ClientLink(
          target ?? { ...broker, clientId: undefined },
          clientIdOf(pipeline, end, broker.clientId),
          {
            clock,
            random,
          },
        ),
    }),
  )
  await Promise.all(pipelines.map((pipeline) => pipeline.start()))
  let stopped: Promise<BridgesSummary> | undefined
  return {
    stop: () =>
      (stopped ??= Promise.all(pipelines.map((pipeline) => pipeline.stop(graceMs))).then(() =>
        summary.result(),
      )),
  }
}
