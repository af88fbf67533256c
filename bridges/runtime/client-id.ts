import type { PipelineEnd } from '../../broker/contract/connector.js'

/**
 * The same after every restart, since a persistent session belongs to its identifier. Two processes that run the
 * same pipeline on one broker would take each other's session over.
 */
export function clientIdOf(pipeline: string, end: PipelineEnd, prefix = 'openclaw-bridge'): string {
  return `${prefix}-${pipeline}-${end}`
}
