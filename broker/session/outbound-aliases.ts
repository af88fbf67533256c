/**
 * Topic aliases towards one client (MQTT 5, 3.3.2.3.4): the topics that were sent first keep an alias until all
 * are given, then the one that has not been used for longest gives way.
 */
export class OutboundAliases {
  private readonly aliases = new Map<string, number>()
  /** Given to a topic and taken back before the client was told. */
  private readonly free: number[] = []

  /** `maximum`: of the client and of ours, whichever is lower; at least 1 [MQTT-3.1.2-26]. */
  constructor(private readonly maximum: number) {}

  /** The alias of a topic; `fresh`: the client does not know it yet, the topic has to be sent along. */
  assign(topic: string): { readonly alias: number; readonly fresh: boolean } {
    const known = this.aliases.get(topic)
    if (known !== undefined) {
      // Moves it to the end of the Map's order: the first key is the one unused for longest.
      this.aliases.delete(topic)
      this.aliases.set(topic, known)
      return { alias: known, fresh: false }
    }
    const alias = this.free.pop() ?? (this.aliases.size < this.maximum ? this.aliases.size + 1 : this.evict())
    this.aliases.set(topic, alias)
    return { alias, fresh: true }
  }

  /** The packet that was to tell the client of a fresh alias has not been sent. */
  revoke(topic: string): void {
    const alias = this.aliases.get(topic)
    if (alias === undefined) return
    this.aliases.delete(topic)
    this.free.push(alias)
  }

  private evict(): number {
    for (const [topic, alias] of this.aliases) {
      this.aliases.delete(topic)
      return alias
    }
    return 1
  }
}
