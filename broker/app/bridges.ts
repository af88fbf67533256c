import { loadBridges } from '../../bridges/config.js'
import { WorkerHost } from '../../bridges/runtime/worker-host.js'
import type { Environment } from '../../config/environment.js'
import type { Clock } from '../contract/clock.js'
import type { Engine } from '../contract/engine.js'
import type { Router } from '../contract/router.js'
import type { Service } from '../contract/service.js'
import type { Store } from '../contract/store.js'
import { BridgePort } from '../engine/bridge-port.js'
import type { Telemetry } from '../telemetry/telemetry.js'
import { step } from './services.js'

interface BridgesDependencies {
  readonly engine: Engine
  readonly router: Router
  readonly store: Store
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly environment: Environment
  readonly graceMs: number
}

/**
 * The pipelines of a gateway, on a thread of their own.
 *
 * @throws GatewayError BRIDGES_INVALID or CONFIG_UNREADABLE; a gateway without a bridges file has none to run.
 */
export function createBridges(file: string | undefined, dependencies: BridgesDependencies): Service {
  if (file === undefined) return step('bridges', {})
  const { engine, router, store, clock, telemetry, environment, graceMs } = dependencies
  const port = new BridgePort({
    router,
    engine,
    store,
    events: telemetry.session,
    clock,
    defer: setImmediate,
  })
  const host = new WorkerHost({
    pipelines: loadBridges({ file, env: environment }),
    port,
    events: telemetry.bridges,
    clock,
    random: Math.random,
    graceMs,
  })
  return {
    name: host.name,
    start: () => host.start(),
    stop: async () => {
      await host.stop()
      port.close()
    },
    readiness: () => host.readiness(),
  }
}
