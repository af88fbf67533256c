import { add, drop, find, forEach, type SmallMap } from './small-map.js'

export interface TopicMemoryLimits {
  /** Topics, 1 upwards. */
  readonly topics: number
  /** Targets in the routes of all topics together, 1 upwards; one takes 8 bytes. */
  readonly targets: number
}

/**
 * What recent topics matched. Besides the map from topic to match there is a tree of the topics' levels, so that
 * a changed filter finds the topics it matches without looking at the others.
 *
 * Bounded; what gives way is chosen by the CLOCK algorithm (second chance): a hand goes round the topics, passes
 * over those used since it was last there, and takes the first that was not. A topic that is published once
 * never displaces one that is in use, which clear-all and plain FIFO both do.
 */
export class TopicMemory<T> {
  private readonly byTopic = new Map<string, Remembered<T>>()
  private readonly root = new TopicNode<T>('', undefined)
  private readonly ring: Remembered<T>[] = []
  private hand = 0
  private targets = 0
  private lot = 1

  constructor(private readonly limits: TopicMemoryLimits) {}

  get size(): number {
    return this.byTopic.size
  }

  get(topic: string): T | undefined {
    const remembered = this.byTopic.get(topic)
    if (remembered === undefined) return undefined
    remembered.used = true
    return remembered.match
  }

  /** The topic must not be remembered already. A full memory does not take every newcomer. */
  remember(topic: string, match: T): void {
    if (this.byTopic.size >= this.limits.topics) {
      if (!this.admits()) return
      this.evict()
    }
    const remembered = new Remembered(topic, match, this.place(topic))
    remembered.node.remembered = remembered
    remembered.slot = this.ring.push(remembered) - 1
    // The newcomer takes the place behind the hand, so that the hand comes to it last.
    this.swap(remembered.slot, this.hand)
    this.hand++
    this.byTopic.set(topic, remembered)
  }

  /** A route of that many targets was added to the match of the topic. */
  charge(topic: string, targets: number): void {
    const remembered = this.byTopic.get(topic)
    if (remembered === undefined) return
    remembered.targets += targets
    this.targets += targets
    // `used` protects the topic in hand for one round; a single route above the limit is not remembered at all.
    while (this.targets > this.limits.targets && this.ring.length > 0) this.evict()
  }

  /** Forgets the topics that the filter matches. */
  forget(filter: string): void {
    if (this.byTopic.size === 0) return
    const found: Remembered<T>[] = []
    collect(this.root, filter.split('/'), 0, found)
    for (const remembered of found) this.drop(remembered)
  }

  /**
   * A full memory takes one newcomer in eight. A topic in use comes again and gets in; a stream of topics seen once,
   * or a round of more topics than fit, would only push each other out. Measured in turns, a topic seen for the
   * first time costs half of what it does when every newcomer is taken.
   * By a generator of fixed seed, since a counter can run in step with the messages and keep one topic out for ever.
   */
  private admits(): boolean {
    this.lot = (Math.imul(this.lot, 1_664_525) + 1_013_904_223) >>> 0
    return this.lot >>> 29 === 0
  }

  private evict(): void {
    for (;;) {
      if (this.hand >= this.ring.length) this.hand = 0
      const candidate = this.ring[this.hand]
      if (candidate === undefined) return
      if (!candidate.used) {
        this.drop(candidate)
        return
      }
      candidate.used = false
      this.hand++
    }
  }

  private drop(remembered: Remembered<T>): void {
    this.byTopic.delete(remembered.topic)
    this.targets -= remembered.targets
    const last = this.ring.length - 1
    this.swap(remembered.slot, last)
    this.ring.pop()
    if (this.hand > this.ring.length) this.hand = this.ring.length
    let { node } = remembered
    node.remembered = undefined
    while (node.parent !== undefined && node.remembered === undefined && node.children === undefined) {
      node.parent.children = drop(node.parent.children, node.key)
      node = node.parent
    }
  }

  private swap(a: number, b: number): void {
    const first = this.ring[a]
    const second = this.ring[b]
    if (first === undefined || second === undefined || a === b) return
    this.ring[a] = second
    second.slot = a
    this.ring[b] = first
    first.slot = b
  }

  private place(topic: string): TopicNode<T> {
    let node = this.root
    for (const level of topic.split('/')) {
      let child = find(node.children, level)
      if (child === undefined) {
        child = new TopicNode<T>(level, node)
        node.children = add(node.children, child)
      }
      node = child
    }
    return node
  }
}

class TopicNode<T> {
  children: SmallMap<string, TopicNode<T>> = undefined
  remembered: Remembered<T> | undefined = undefined

  constructor(
    readonly key: string,
    readonly parent: TopicNode<T> | undefined,
  ) {}
}

class Remembered<T> {
  /** Since the hand was last here. */
  used = false
  /** Place in the ring. */
  slot = 0
  /** In all routes of the match. */
  targets = 0

  constructor(
    readonly topic: string,
    readonly match: T,
    readonly node: TopicNode<T>,
  ) {}
}

function collect<T>(
  node: TopicNode<T>,
  levels: readonly string[],
  depth: number,
  found: Remembered<T>[],
): void {
  const level = levels[depth]
  if (level === undefined) {
    if (node.remembered !== undefined) found.push(node.remembered)
  } else if (level === '#') {
    collectAll(node, depth === 0, found)
  } else if (level === '+') {
    forEach(node.children, (child) => {
      if (depth > 0 || !child.key.startsWith('$')) collect(child, levels, depth + 1, found)
    })
  } else {
    const child = find(node.children, level)
    if (child !== undefined) collect(child, levels, depth + 1, found)
  }
}

/** The node and all below it: `a/#` matches `a` too (4.7.1.2). `top`: all but the topics that begin with `$` [MQTT-4.7.2-1]. */
function collectAll<T>(node: TopicNode<T>, top: boolean, found: Remembered<T>[]): void {
  if (node.remembered !== undefined) found.push(node.remembered)
  forEach(node.children, (child) => {
    if (!top || !child.key.startsWith('$')) collectAll(child, false, found)
  })
}
