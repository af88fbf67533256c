import { z } from 'zod'
import type { KeyPath } from './problem.js'

/** The part of JSON Schema that zod writes for settings. */
export interface SchemaNode {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly format?: string
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly minItems?: number
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | SchemaNode
  readonly items?: SchemaNode
  readonly oneOf?: readonly SchemaNode[]
  readonly anyOf?: readonly SchemaNode[]
}

/** The schema as an author of a file sees it: what has a default may be left out. */
export function jsonSchema(schema: z.ZodType): SchemaNode {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as SchemaNode
}

/** The schema of the value at a path of a tree; where a section has variants, the one that its tree has chosen. */
export function schemaAt(root: SchemaNode, tree: unknown, path: KeyPath): SchemaNode | undefined {
  let node: SchemaNode | undefined = root
  let value = tree
  for (const part of path) {
    node = node === undefined ? undefined : chosenVariant(node, value)
    node = typeof part === 'number' ? node?.items : propertyOf(node, part)
    value = childOf(value, part)
  }
  return node === undefined ? undefined : chosenVariant(node, value)
}

/** Keys of a section, in the order of the schema. */
export function keysOf(node: SchemaNode | undefined): readonly string[] {
  if (node === undefined) return []
  const variants = node.oneOf ?? node.anyOf
  if (variants !== undefined) return [...new Set(variants.flatMap(keysOf))]
  return Object.keys(node.properties ?? {})
}

/** Type and range as a phrase, for messages and for the reference: `integer, 0 to 65,535`. */
export function describeType(node: SchemaNode): string {
  if (node.const !== undefined) return code(node.const)
  if (node.enum !== undefined) return node.enum.map(code).join(', ')
  const variants = node.oneOf ?? node.anyOf
  if (variants !== undefined) {
    const kinds = variants.map((variant) => variant.properties?.['type']?.const)
    if (!kinds.includes(undefined)) return `section of a type: ${kinds.map(code).join(', ')}`
    return [...new Set(variants.map(describeType))].join(' or ')
  }
  switch (node.type) {
    case 'integer':
    case 'number':
      return `${node.type}${range(node)}`
    case 'boolean':
      return '`true`, `false`'
    case 'string':
      return node.format === 'uri' ? 'URL' : 'text'
    case 'array':
      return `list${(node.minItems ?? 0) > 0 ? ' (not empty)' : ''} of ${describeType(node.items ?? {})}`
    case 'object':
      return 'section with keys'
    default:
      return 'any value'
  }
}

export function childOf(value: unknown, part: string | number): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
  return (value as Record<string | number, unknown>)[part]
}

function chosenVariant(node: SchemaNode, value: unknown): SchemaNode {
  const variants = node.oneOf ?? node.anyOf
  const type = childOf(value, 'type')
  return (
    variants?.find(
      ({ properties }) => properties?.['type'] !== undefined && properties['type'].const === type,
    ) ?? node
  )
}

function propertyOf(node: SchemaNode | undefined, key: string): SchemaNode | undefined {
  const properties = node?.properties ?? {}
  if (Object.hasOwn(properties, key)) return properties[key]
  const shared = (node?.oneOf ?? node?.anyOf)?.map((variant) => propertyOf(variant, key))
  const found = shared?.filter((variant) => variant !== undefined)
  if (found !== undefined && found.length > 0) return found.length === 1 ? found[0] : { anyOf: found }
  return typeof node?.additionalProperties === 'object' ? node.additionalProperties : undefined
}

function range({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: SchemaNode): string {
  // zod writes the bounds of a safe integer where a schema has none.
  const low =
    exclusiveMinimum !== undefined
      ? `above ${figure(exclusiveMinimum)}`
      : minimum === undefined || minimum === Number.MIN_SAFE_INTEGER
        ? undefined
        : figure(minimum)
  const high =
    exclusiveMaximum !== undefined
      ? `below ${figure(exclusiveMaximum)}`
      : maximum === undefined || maximum === Number.MAX_SAFE_INTEGER
        ? undefined
        : figure(maximum)
  if (low === undefined) return high === undefined ? '' : `, up to ${high}`
  if (exclusiveMinimum !== undefined) return high === undefined ? `, ${low}` : `, ${low}, up to ${high}`
  return high === undefined ? `, ${low} or more` : `, ${low} to ${high}`
}

function figure(value: number): string {
  return value.toLocaleString('en-US')
}

function code(value: unknown): string {
  return `\`${String(value)}\``
}
