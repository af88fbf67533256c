/**
 * A map from `item.key` to `item` that is one field of its owner: nothing when empty, the item itself when there
 * is one, an array up to eight, a `Map` beyond.
 *
 * Most nodes of a subscription trie have one child and one subscription. An empty `Map` costs about 180 bytes;
 * with two a node, a million four-level filters would spend 360 MB on maps that hold one item.
 */
export type SmallMap<K, T extends Keyed<K>> = undefined | T | T[] | Map<K, T>

export interface Keyed<K> {
  readonly key: K
}

const ARRAY_LIMIT = 8

export function find<K, T extends Keyed<K>>(items: SmallMap<K, T>, key: K): T | undefined {
  if (items === undefined) return undefined
  if (items instanceof Map) return items.get(key)
  if (!isArray(items)) return items.key === key ? items : undefined
  for (const item of items) if (item.key === key) return item
  return undefined
}

/** The map with the item added; an item of the same key must not be in it. */
export function add<K, T extends Keyed<K>>(items: SmallMap<K, T>, item: T): SmallMap<K, T> {
  if (items === undefined) return item
  if (items instanceof Map) return items.set(item.key, item)
  if (!isArray(items)) return [items, item]
  if (items.length < ARRAY_LIMIT) {
    items.push(item)
    return items
  }
  const map = new Map<K, T>()
  for (const each of items) map.set(each.key, each)
  return map.set(item.key, item)
}

/** The map without the item of that key. Shrinks back to nothing, not to an array: sizes that swing cost no copies. */
export function drop<K, T extends Keyed<K>>(items: SmallMap<K, T>, key: K): SmallMap<K, T> {
  if (items === undefined) return undefined
  if (items instanceof Map) {
    items.delete(key)
    return items.size === 0 ? undefined : items
  }
  if (!isArray(items)) return items.key === key ? undefined : items
  const index = items.findIndex((item) => item.key === key)
  if (index >= 0) items.splice(index, 1)
  return items.length === 0 ? undefined : items
}

export function forEach<K, T extends Keyed<K>>(items: SmallMap<K, T>, visit: (item: T) => void): void {
  if (items === undefined) return
  if (items instanceof Map) items.forEach(visit)
  else if (isArray(items)) for (const item of items) visit(item)
  else visit(items)
}

/** `Array.isArray`, which alone would not tell the compiler that an item is not an array itself. */
function isArray<K, T extends Keyed<K>>(items: T | T[]): items is T[] {
  return Array.isArray(items)
}
