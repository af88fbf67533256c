import { z } from 'zod'

/** Larger figures are no measurement, and their squares would leave the range of a double. */
const LARGEST = 1e150

/** Way to a field of a decoded value: `value`, `data.0.temperature`; `.` is the value itself. */
export const fieldPath = z
  .string()
  .regex(
    /^(?:\.|[^.\s]+(?:\.[^.\s]+)*)$/,
    'a field such as `value` or `data.temperature`, or `.` for the whole payload',
  )

/** Reads and writes one field. Own properties only, so that `constructor` is a field like any other. */
export class FieldPath {
  private readonly keys: readonly string[]

  constructor(readonly text: string) {
    this.keys = text === '.' ? [] : text.split('.')
  }

  get(value: unknown): unknown {
    let current = value
    for (const key of this.keys) {
      if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key)) return undefined
      current = (current as Record<string, unknown>)[key]
    }
    return current
  }

  /** A number that can be reckoned with, or undefined. */
  number(value: unknown): number | undefined {
    const found = this.get(value)
    return typeof found === 'number' && Math.abs(found) <= LARGEST ? found : undefined
  }

  /** The value with the field set, changed in place where it is an object; undefined where there is no way to the field. */
  set(value: unknown, field: unknown): { readonly value: unknown } | undefined {
    const last = this.keys.at(-1)
    if (last === undefined) return { value: field }
    const holder = this.holder(value)
    if (holder === undefined) return undefined
    define(holder, last, field)
    return { value }
  }

  /** Removes the field and returns what it held. */
  take(value: unknown): unknown {
    const last = this.keys.at(-1)
    if (last === undefined) return undefined
    const holder = this.holder(value)
    if (holder === undefined || !Object.hasOwn(holder, last)) return undefined
    const field = (holder as Record<string, unknown>)[last]
    Reflect.deleteProperty(holder, last)
    return field
  }

  private holder(value: unknown): object | undefined {
    let current = value
    for (const key of this.keys.slice(0, -1)) {
      if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key)) return undefined
      current = (current as Record<string, unknown>)[key]
    }
    return typeof current === 'object' && current !== null ? current : undefined
  }
}

function define(holder: object, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true })
}
