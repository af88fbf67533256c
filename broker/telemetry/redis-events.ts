import type { Registry } from 'prom-client'
import type { RedisEvents } from '../contract/events.js'
import { counter, type Cell } from './cells.js'
import { errorFields, type EventLog } from './event-log.js'

export class RedisTelemetry implements RedisEvents {
  private readonly losses: Cell

  constructor(
    registry: Registry,
    private readonly log: EventLog,
  ) {
    this.losses = counter(registry, {
      name: 'redis_connections_lost_total',
      help: 'Times that a connection to Redis was lost or refused after it had been usable, or at the start.',
    })
  }

  redisLost(connection: string, error: Error): void {
    this.losses.count++
    this.log.warn(
      'redis_lost',
      connection,
      { connection, ...errorFields(error) },
      'a connection to Redis is gone',
    )
  }

  redisBack(connection: string): void {
    this.log.info('redis_back', connection, { connection }, 'a connection to Redis is back')
  }
}
