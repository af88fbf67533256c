import { parseConfig } from '../../config/load.js'
import type { ConfigInput } from '../../config/schema.js'
import { buildGateway, type Gateway, type GatewayOptions } from './gateway.js'

/**
 * For programs that embed the gateway. The configuration is that of the file, with the same defaults and checks.
 *
 * @throws GatewayError CONFIG_INVALID with all problems at once, BRIDGES_INVALID.
 */
export function createGateway(config: ConfigInput = {}, options: GatewayOptions = {}): Promise<Gateway> {
  return buildGateway(parseConfig(config), options)
}

export { GatewayError, type ErrorCode } from '../contract/errors.js'
export type { ConfigInput, Gateway, GatewayOptions }
