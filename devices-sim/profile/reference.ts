import { describeType, jsonSchema, type SchemaNode } from '../../config/json-schema.js'
import { profileSchema } from './schema.js'

/** The profile reference in `docs/simulator.md`: one line a key, in the order of the schema. */
export function profileReference(): string {
  return linesOf('', jsonSchema(profileSchema)).join('\n')
}

/** In `docs/simulator.md`, around what `profileReference` writes. */
export const referenceMarkers = {
  begin: '<!-- From devices-sim/profile/schema.ts: written by `npm run docs`. -->',
  end: '<!-- End of the reference. -->',
} as const

function linesOf(path: string, node: SchemaNode): string[] {
  return Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    const here = path === '' ? key : `${path}.${key}`
    const required = node.required?.includes(key) ?? false
    return [lineOf(here, child, required), ...inside(here, child)]
  })
}

function inside(path: string, node: SchemaNode): string[] {
  const below = node.items === undefined ? path : `${path}[]`
  const section = node.items ?? node
  if (typeof section.additionalProperties === 'object')
    return inside(`${below}.<name>`, section.additionalProperties)
  if (section.oneOf === undefined) return linesOf(below, section)
  return section.oneOf.flatMap((variant) => {
    const { model, ...settings } = variant.properties ?? {}
    return [
      `- \`${below}\` with \`model: ${String(model?.const)}\`: ${variant.description ?? ''}`,
      ...linesOf(below, { properties: settings }),
    ]
  })
}

function lineOf(path: string, node: SchemaNode, required: boolean): string {
  const isSection = node.type === 'object' || node.items?.type === 'object'
  const type = isSection ? (node.items === undefined ? 'section' : 'list of sections') : describeType(node)
  const hasDefault = ['string', 'number', 'boolean'].includes(typeof node.default) && node.default !== ''
  const fallback = required ? '; required' : hasDefault ? `; default \`${String(node.default)}\`` : ''
  return `- \`${path}\` (${type}${fallback}): ${node.description ?? ''}`
}
