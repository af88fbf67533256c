import { readValue } from './document.js'
import { childOf } from './json-schema.js'
import { formatPath, showValue, type Fault, type KeyPath } from './problem.js'

export interface Overridden {
  readonly tree: unknown
  /** What was set from the command line, with the text of it: the place of problems at or below that path. */
  readonly set: readonly { readonly path: KeyPath; readonly text: string }[]
  readonly faults: readonly (Fault & { readonly text: string })[]
}

/**
 * Applies `path.to.key=value` in order, later ones win. The value is YAML (`8080`, `true`, `[RS256, ES256]`). An entry
 * of a list is named by its position, `listeners[0].port`, or by its `name`, `listeners.web.port`; the position after
 * the last one appends. A list that the file does not set is taken from `defaults`, so that one key of one entry can be
 * changed.
 */
export function applyOverrides(tree: unknown, overrides: readonly string[], defaults: unknown): Overridden {
  const root: { value: unknown } = { value: structuredClone(tree) ?? {} }
  const set: { path: KeyPath; text: string }[] = []
  const faults: (Fault & { text: string })[] = []
  for (const text of overrides) {
    const parsed = parseOverride(text)
    if ('fault' in parsed) {
      faults.push({ path: [], found: parsed.fault, allowed: 'path.to.key=value', text })
      continue
    }
    const assigned = assign(root, parsed.path, parsed.value, defaults)
    if ('fault' in assigned) faults.push({ ...assigned.fault, text })
    else set.push({ path: assigned.path, text })
  }
  return { tree: root.value, set, faults }
}

type ParsedOverride = { readonly path: KeyPath; readonly value: unknown } | { readonly fault: string }

function parseOverride(text: string): ParsedOverride {
  const equals = text.indexOf('=')
  if (equals < 1) return { fault: `${showValue(text)} without a key and \`=\`` }
  const keys = text.slice(0, equals)
  if (!/^[\w-]+(?:\[\d{1,6}\])*(?:\.[\w-]+(?:\[\d{1,6}\])*)*$/.test(keys))
    return { fault: `the key ${showValue(keys)}` }
  const path = [...keys.matchAll(/\[(\d+)\]|[\w-]+/g)].map(([word, index]) =>
    index === undefined ? word : Number(index),
  )
  const read = readValue(text.slice(equals + 1))
  if ('fault' in read) return { fault: `the value of ${keys}: ${read.fault}` }
  return { path, value: read.value }
}

type Assigned = { readonly path: KeyPath } | { readonly fault: Fault }

/** Sets one value; names of list entries come back as positions. */
function assign(root: { value: unknown }, path: KeyPath, value: unknown, defaults: unknown): Assigned {
  const real: (string | number)[] = []
  let holder: object = root
  let slot: string | number = 'value'
  let fallback = defaults
  for (const part of path) {
    let current = childOf(holder, slot)
    if (current === undefined) {
      current = Array.isArray(fallback) ? structuredClone(fallback) : typeof part === 'number' ? [] : {}
      define(holder, slot, current)
    }
    if (typeof current !== 'object' || current === null)
      return {
        fault: { path: real, found: showValue(current), allowed: 'a section or a list, to set a key in it' },
      }
    const next = Array.isArray(current) ? positionIn(current, part, real) : keyIn(part, real, current)
    if (typeof next === 'object') return { fault: next }
    real.push(next)
    fallback = childOf(fallback, next)
    holder = current
    slot = next
  }
  define(holder, slot, value)
  return { path: real }
}

function positionIn(list: readonly unknown[], part: string | number, path: KeyPath): number | Fault {
  if (typeof part === 'number') {
    if (part <= list.length) return part
    return {
      path: [...path, part],
      found: `position ${part} of a list of ${list.length}`,
      allowed: `0 to ${list.length}`,
      atKey: true,
    }
  }
  const index = list.findIndex((item) => childOf(item, 'name') === part)
  if (index >= 0) return index
  const names = list.map((item) => childOf(item, 'name')).filter((name) => typeof name === 'string')
  return {
    path: [...path, part],
    found: 'no entry of that name',
    allowed: names.length === 0 ? 'a position, as in `[0]`' : names.map((name) => `\`${name}\``).join(', '),
    atKey: true,
  }
}

function keyIn(part: string | number, path: KeyPath, section: object): string | Fault {
  if (typeof part === 'string') return part
  return {
    path: [...path, part],
    found: `position ${part} of ${showValue(section)}`,
    allowed: `a key of ${formatPath(path)}`,
    atKey: true,
  }
}

/** Defines an own property, whatever it is called: `__proto__` must end as an unknown key, not as a prototype. */
function define(holder: object, slot: string | number, value: unknown): void {
  Object.defineProperty(holder, slot, { value, enumerable: true, configurable: true, writable: true })
}
