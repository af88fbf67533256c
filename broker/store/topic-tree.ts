import { hasWildcard } from '../contract/topic.js'

interface Level<T extends object> {
  readonly parent: Level<T> | undefined
  readonly name: string
  children: Map<string, Level<T>> | undefined
  topic: string | undefined
  value: T | undefined
}

/**
 * Values by topic name: a tree by topic level, so that a lookup walks what its filter can match and not all there
 * is, and a map by topic, because most writes replace what is there.
 *
 * A walk finds exactly the topics for which `filterMatches` of the topic algebra says yes; a property test
 * compares the two.
 */
export class TopicTree<T extends object> {
  private readonly root: Level<T> = newLevel<T>(undefined, '')
  private readonly byTopic = new Map<string, Level<T>>()

  get count(): number {
    return this.byTopic.size
  }

  get(topic: string): T | undefined {
    return this.byTopic.get(topic)?.value
  }

  /** Keeps the value in place of an earlier one, which is returned. */
  set(topic: string, value: T): T | undefined {
    let level = this.byTopic.get(topic)
    const former = level?.value
    if (level === undefined) {
      level = this.grow(topic)
      this.byTopic.set(topic, level)
    }
    level.topic = topic
    level.value = value
    return former
  }

  /** Returns what was there. */
  delete(topic: string): T | undefined {
    const level = this.byTopic.get(topic)
    if (level === undefined) return undefined
    this.byTopic.delete(topic)
    const former = level.value
    level.topic = undefined
    level.value = undefined
    prune(level)
    return former
  }

  *entries(): Generator<readonly [topic: string, value: T]> {
    for (const [topic, { value }] of this.byTopic) if (value !== undefined) yield [topic, value]
  }

  /**
   * Topics that the filter matches, with their values. Values may be set and deleted between two steps of the
   * walk; whether it still comes across them is then open.
   */
  *matching(filter: string): Generator<readonly [topic: string, value: T]> {
    if (!hasWildcard(filter)) {
      const value = this.get(filter)
      if (value !== undefined) yield [filter, value]
      return
    }
    // A stack of its own: topics may have more levels than the call stack has room for.
    const levels = filter.split('/')
    const pending: { readonly from: Iterator<Level<T>>; readonly depth: number }[] = []
    const visit = (level: Level<T>, depth: number): Level<T> | undefined => {
      const part = levels[depth]
      if (part === undefined) return level
      const children = level.children
      if (part === '#') {
        if (children !== undefined) pending.push({ from: children.values(), depth })
        return level // `a/#` matches `a` too (4.7.1.2)
      }
      if (part === '+') {
        if (children !== undefined) pending.push({ from: children.values(), depth: depth + 1 })
      } else {
        const child = children?.get(part)
        if (child !== undefined) pending.push({ from: [child].values(), depth: depth + 1 })
      }
      return undefined
    }
    const first = visit(this.root, 0)
    if (first?.topic !== undefined && first.value !== undefined) yield [first.topic, first.value]
    for (let top = pending.at(-1); top !== undefined; top = pending.at(-1)) {
      const step = top.from.next()
      if (step.done === true) {
        pending.pop()
        continue
      }
      const level = step.value
      // Wildcards at the first level do not see topics that begin with `$` [MQTT-4.7.2-1].
      if (level.parent === this.root && level.name.startsWith('$') && levels[0] !== level.name) continue
      const found = visit(level, top.depth)
      if (found?.topic !== undefined && found.value !== undefined) yield [found.topic, found.value]
    }
  }

  private grow(topic: string): Level<T> {
    let level = this.root
    for (const name of topic.split('/')) {
      level.children ??= new Map()
      let child = level.children.get(name)
      if (child === undefined) {
        child = newLevel(level, name)
        level.children.set(name, child)
      }
      level = child
    }
    return level
  }
}

function newLevel<T extends object>(parent: Level<T> | undefined, name: string): Level<T> {
  return { parent, name, children: undefined, topic: undefined, value: undefined }
}

function prune<T extends object>(level: Level<T>): void {
  let at = level
  while (at.parent !== undefined && at.value === undefined && (at.children?.size ?? 0) === 0) {
    const parent = at.parent
    parent.children?.delete(at.name)
    if (parent.children?.size === 0) parent.children = undefined
    at = parent
  }
}
