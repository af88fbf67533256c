/**
 * Where everything is. All keys begin with the prefix. What is written together has one hash tag, and with it one
 * slot: a partition. A session, its queue and the bodies of its messages are in the partition of the client id, a
 * retained message is in that of its topic.
 *
 * A single Redis has one partition: each accept is one atomic script, and a body is stored once. On a Cluster there
 * are four to eight for each master that it has when the store is made: enough to add masters, and few, because a
 * message is stored once in each partition that it has receivers in. Tag i lies in the i-th part of the slots, so
 * that contiguous slot ranges of any size get their even share.
 *
 * | key                       | kind   | what                                                                |
 * | ------------------------- | ------ | ------------------------------------------------------------------- |
 * | `<prefix>:format`         | hash   | version of this layout and number of partitions                     |
 * | `<prefix>{t}:meta`        | hash   | last epoch, number of the last change, bytes of retained messages   |
 * | `<prefix>{t}:sessions`    | set    | client ids                                                          |
 * | `<prefix>{t}:expiry`      | zset   | client ids of closed sessions by the time they expire               |
 * | `<prefix>{t}:open:<node>` | set    | client ids of the sessions that a node has open                     |
 * | `<prefix>{t}:s:<client>`  | hash   | a session: expiry, subscriptions, QoS 2 identifiers                 |
 * | `<prefix>{t}:c:<client>`  | string | its counters: epochs, last sequence, entries and bytes, its node    |
 * | `<prefix>{t}:q:<client>`  | zset   | its queue: entries by sequence number                               |
 * | `<prefix>{t}:m:<uid>`     | string | the body of a queued message; `:n` behind it counts its entries     |
 * | `<prefix>{t}:retained`    | hash   | retained messages by topic                                          |
 * | `<prefix>{t}:topics`      | hash   | payload size and expiry of the retained messages by topic           |
 * | `<prefix>{t}:wills`       | hash   | wills by client id, each behind the node that answers for it        |
 * | `<prefix>{t}:claims`      | hash   | epoch and node of the connection of a client, by its id             |
 * | `<prefix>{t}:ids:<node>`  | set    | client ids that a node has claimed                                  |
 * | `<prefix>{t}:log`         | stream | last changes of sessions and retained topics, for other nodes       |
 * | `<prefix>{t}:n:<node>`    | string | number and reply of the node's last batch; an hour                  |
 * | `<prefix>{t}:i:<node>`    | hash   | accepts that span partitions and are under way, by message uid      |
 * | `<prefix>{t}:u:<uid>`     | string | what such an accept has queued here; ten minutes                    |
 */
export const FORMAT_VERSION = 1
const PARTITIONS_PER_MASTER = 4
const MOST_PARTITIONS = 256
const SLOTS = 16_384

export class Layout {
  private readonly tags: readonly string[]
  private readonly bases: readonly string[]

  constructor(
    readonly prefix: string,
    /** Number of partitions, a power of two up to 16,384. */
    readonly partitions: number,
  ) {
    this.tags = hashTags(partitions)
    this.bases = this.tags.map((tag) => `${prefix}{${tag}}:`)
  }

  /** What the keys of a partition begin with. */
  base(partition: number): string {
    return this.bases[partition] ?? ''
  }

  /** The partition of a client id, of a topic or of a message uid. */
  partitionOf(name: string): number {
    return this.partitions === 1 ? 0 : Math.floor((slotOf(name) * this.partitions) / SLOTS)
  }

  /** Keys that are never there, one in each place where a node of the gateway has others. */
  get probes(): readonly string[] {
    return [...this.bases, `${this.prefix}{nodes}:`, `${this.prefix}{bus:probe}:`].map(
      (base) => `${base}probe`,
    )
  }

  /** Channel of the announcements of changes. */
  get channel(): string {
    return `${this.prefix}:changes`
  }
}

/** How many partitions a new store on a Cluster of so many masters gets. */
export function partitionsFor(masters: number): number {
  let partitions = 1
  while (partitions < masters * PARTITIONS_PER_MASTER && partitions < MOST_PARTITIONS) partitions *= 2
  return partitions
}

export function formatKey(prefix: string): string {
  return `${prefix}:format`
}

function hashTags(partitions: number): readonly string[] {
  const tags: string[] = []
  for (let i = 0, missing = partitions; missing > 0; i++) {
    const tag = i.toString(36)
    const partition = Math.floor((slotOf(tag) * partitions) / SLOTS)
    if (tags[partition] !== undefined) continue
    tags[partition] = tag
    missing--
  }
  return tags
}

/** Slot of a name in a Redis Cluster: CRC-16 (XMODEM) modulo 16,384. */
export function slotOf(name: string): number {
  let crc = 0
  for (const byte of Buffer.from(name)) crc = ((crc << 8) & 0xffff) ^ (CRC16[((crc >> 8) ^ byte) & 0xff] ?? 0)
  return crc % SLOTS
}

const CRC16 = Uint16Array.from({ length: 256 }, (_, index) => {
  let crc = index << 8
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
  return crc
})
