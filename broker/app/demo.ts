import path from 'node:path'
import { destination } from 'pino'
import { loadConfig } from '../../config/load.js'
import { loadProfile, startFleet, type Fleet, type Reading } from '../../devices-sim/index.js'
import { DemoObserver, type Observations } from './demo-observer.js'
import { buildGateway, type Gateway } from './gateway.js'
import { PACKAGE_FOLDER } from './package.js'

export interface DemoOptions {
  readonly devices: number
  readonly seed: number
  readonly profile: string
  /** `path.to.key=value` on top of the demo's configuration. */
  readonly overrides: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Every reading that a device has published and the gateway acknowledged. */
  readonly onReading?: (reading: Reading) => void
}

export interface DemoSummary extends Observations {
  readonly devicesConnected: number
  readonly published: number
  readonly errors: number
  readonly seconds: number
  readonly seed: number
}

/** A whole installation in one process: gateway, bridges, simulated devices, and somebody who watches. */
export class Demo {
  private readonly startedAt = Date.now()

  private constructor(
    private readonly options: DemoOptions,
    private readonly gateway: Gateway,
    private readonly fleet: Fleet,
    private readonly observer: DemoObserver,
  ) {}

  /** Rejects when anything cannot start; then nothing is left running. */
  static async start(options: DemoOptions): Promise<Demo> {
    const { config } = loadConfig({
      file: path.join(PACKAGE_FOLDER, 'config', 'examples', 'demo.yaml'),
      overrides: [
        `bridges.file=${JSON.stringify(path.join(PACKAGE_FOLDER, 'config', 'bridges.yaml'))}`,
        ...options.overrides,
      ],
      env: options.environment,
    })
    // Standard output is for the summary.
    const gateway = await buildGateway(config, {
      environment: options.environment,
      logDestination: destination(2),
    })
    await gateway.start()
    let observer: DemoObserver | undefined
    try {
      const url = webAddress(gateway)
      observer = await DemoObserver.open(url)
      const { devices, seed, profile, environment, onReading } = options
      const fleet = await startFleet({
        profile: loadProfile(profile, environment),
        devices,
        seed,
        broker: { url: new URL(url), ca: undefined },
        onReading,
      })
      return new Demo(options, gateway, fleet, observer)
    } catch (error) {
      await observer?.close()
      await gateway.stop()
      throw error
    }
  }

  get dashboardUrl(): string {
    const { host } = new URL(webAddress(this.gateway))
    return `http://${host}/`
  }

  summary(): DemoSummary {
    const { devicesConnected, published, publishErrors } = this.fleet.stats()
    return {
      devicesConnected,
      published,
      ...this.observer.observations,
      errors: publishErrors,
      seconds: Math.round((Date.now() - this.startedAt) / 100) / 10,
      seed: this.options.seed,
    }
  }

  /** Devices first, then the bridges' last windows, then whoever watches: the summary holds all of it. */
  async stop(): Promise<DemoSummary> {
    const { devicesConnected, published, publishErrors } = await this.fleet.stop()
    await this.gateway.bridges.stop()
    const { observations } = this.observer
    await this.observer.close()
    await this.gateway.stop()
    return { ...this.summary(), ...observations, devicesConnected, published, errors: publishErrors }
  }
}

function webAddress(gateway: Gateway): string {
  const web = [...gateway.addresses.values()].find(({ url }) => url.startsWith('ws:'))
  if (web === undefined) throw new Error('the demo needs a ws listener')
  return web.url
}
