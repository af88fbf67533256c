/**
 * Connections to Redis as `router/` sees them. `store/redis/connection` makes them, and knows whether there is a
 * single Redis, a Cluster or Sentinel behind.
 */
export interface RedisPorts {
  /**
   * A connection that begins to connect and reconnects by itself. `blocking`: for commands that wait in Redis, which
   * are not failed for taking long; nothing else is sent on it.
   */
  open(name: string, options: { readonly blocking: boolean }): RedisPort
}

export interface RedisPort {
  /**
   * Byte strings of the reply are Buffers, which stay valid. Rejects when Redis refuses the command, does not answer
   * in time or is away; then it may have been carried out or not. Nothing waits for a connection, and nothing is
   * sent again. On a Cluster the command goes to the master of its first key.
   */
  command(name: string, ...args: readonly RedisArgument[]): Promise<RedisReply>
  /** Ends the connection; commands under way reject. Idempotent. */
  close(): void
}

export type RedisArgument = string | Buffer | number
export type RedisReply = Buffer | number | null | readonly RedisReply[]
