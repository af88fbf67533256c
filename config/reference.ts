import { describeType, jsonSchema, type SchemaNode } from './json-schema.js'
import { configSchema } from './schema.js'

/** `docs/configuration.md`. */
export function configurationPage(): string {
  const root = jsonSchema(configSchema)
  return [INTRODUCTION, ...sectionsOf('', root).map(sectionText)].join('\n\n') + '\n'
}

/** `config/schema.json`, for editors: numbers and choices may be written as `${NAME}`, too. */
export function editorSchema(): string {
  const { $schema, ...schema } = withPlaceholders(jsonSchema(configSchema)) as Record<string, unknown>
  const header = { $schema, title: 'Configuration of OpenClaw Gateway' }
  return JSON.stringify({ ...header, ...schema }, undefined, 2) + '\n'
}

const INTRODUCTION = `# Configuration

<!-- Written by \`npm run docs\` from config/schema.ts. -->

The gateway reads \`config/gateway.yaml\`, or the file after \`--config\`. Without \`--config\` and without that file it runs
with the defaults below and says so. \`openclaw check-config [FILE]\` reads a file and lists everything that is wrong with it, with
the key, what was found, what is allowed, and the line. \`config/gateway.yaml\` holds the defaults with comments,
\`config/examples/\` has files for common cases, \`config/schema.json\` lets an editor complete and check keys.

- An unknown key, a bad value or a contradiction between keys stops the start (exit code 2); all of them are listed at once.
- A key without a value counts as not set. Paths of files are relative to the working directory.
- \`\${NAME}\` and \`\${NAME:-default}\` inside values are filled in from the environment; the default counts when the variable is missing
  or empty, and a variable that is missing without a default is an error. The value takes the type of its key, so \`port: \${PORT}\` works and a password \`12345\` stays text.
  Between \`{ }\` or \`[ ]\` YAML wants quotes around it: \`{ port: "\${PORT}" }\`.
  Names of environment variables are in capitals here: \`\${clientId}\`, \`\${username}\`, \`\${role}\` and \`\${claims.x}\` in the topics of access rules (and \`session.responseInformation\`) stay as they are and are
  filled in for each client. Messages never show a value from the environment.
- \`--set path.to.key=value\` overrides a key, later ones win; the value is YAML. An entry of a list is named by position or by its name:
  \`--set listeners[0].port=0\`, \`--set listeners.web.port=0\`. The position after the last one appends.`

interface Section {
  readonly path: string
  readonly description: string | undefined
  readonly rows: readonly Row[]
}

interface Row {
  readonly key: string
  readonly node: SchemaNode
  readonly required: boolean
  /** Variants that have the key; undefined: all. */
  readonly only: readonly string[] | undefined
}

/** A section, then the sections inside it, in the order of the schema. */
function sectionsOf(path: string, node: SchemaNode): readonly Section[] {
  const variants = node.oneOf ?? [node]
  const types = variants.map((variant) => String(variant.properties?.['type']?.const))
  const rows = rowsOf(variants, types)
  const inside = rows.flatMap(({ key, node: child }) => {
    const section = sectionIn(child)
    return section === undefined ? [] : sectionsOf(childPath(path, key, child), section)
  })
  return [{ path, description: node.description, rows }, ...inside]
}

function rowsOf(variants: readonly SchemaNode[], types: readonly string[]): readonly Row[] {
  const keys = [...new Set(variants.flatMap((variant) => Object.keys(variant.properties ?? {})))]
  return keys.flatMap((key) => {
    const holders = variants.flatMap((variant, index) => {
      const node = variant.properties?.[key]
      return node === undefined ? [] : [{ node, type: types[index] ?? '', variant }]
    })
    const first = holders[0]
    if (first === undefined) return []
    const choices = holders.map(({ node }) => node.const).filter((value) => value !== undefined)
    const node = choices.length > 1 ? { ...first.node, const: undefined, enum: choices } : first.node
    const required = first.variant.required?.includes(key) ?? false
    const only = holders.length === variants.length ? undefined : holders.map(({ type }) => type)
    return [{ key, node, required, only }]
  })
}

function sectionText({ path, description, rows }: Section): string {
  const heading = path === '' ? '## Top level' : `## \`${path}\``
  const table = ['| key | type and range | default | |', '|---|---|---|---|']
  const lines = rows.map((row) => rowText(path, row))
  return [heading, description ?? '', [...table, ...lines].join('\n')]
    .filter((part) => part !== '')
    .join('\n\n')
}

function rowText(path: string, { key, node, required, only }: Row): string {
  const where = only === undefined ? '' : ` (${only.map((type) => `\`${type}\``).join(', ')})`
  const type =
    sectionIn(node) === undefined
      ? describeType(node)
      : `[${node.items === undefined ? 'section' : 'list of sections'}](#${anchor(childPath(path, key, node))})`
  const cells = [`\`${key}\`${where}`, type, defaultText(node, required), node.description ?? '']
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function defaultText(node: SchemaNode, required: boolean): string {
  if (required) return 'required'
  const value = node.default
  if (Array.isArray(value)) {
    const names = value.map((item: string | { name: string }) =>
      typeof item === 'string' ? item : item.name,
    )
    return `\`[${names.join(', ')}]\``
  }
  const isScalar = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
  return isScalar ? `\`${value}\`` : ''
}

/** The section that a key holds, itself or in the entries of its list. */
function sectionIn(node: SchemaNode): SchemaNode | undefined {
  const section = node.items ?? node
  return section.properties !== undefined || section.oneOf !== undefined ? section : undefined
}

function childPath(path: string, key: string, node: SchemaNode): string {
  return `${path === '' ? '' : `${path}.`}${key}${node.items === undefined ? '' : '[]'}`
}

/** As GitHub makes it from the heading. */
function anchor(heading: string): string {
  return heading.toLowerCase().replace(/[^a-z0-9-]/g, '')
}

/** Whatever is not text gets the form `${NAME}` as an alternative. */
function withPlaceholders(node: SchemaNode): SchemaNode {
  const inside: SchemaNode = {
    ...node,
    ...(node.properties === undefined ? {} : { properties: mapValues(node.properties, withPlaceholders) }),
    ...(node.items === undefined ? {} : { items: withPlaceholders(node.items) }),
    ...(node.oneOf === undefined ? {} : { oneOf: node.oneOf.map(withPlaceholders) }),
    ...(node.anyOf === undefined ? {} : { anyOf: [...node.anyOf, PLACEHOLDER] }),
  }
  const isChoice = node.enum !== undefined
  const isScalar = node.type === 'integer' || node.type === 'number' || node.type === 'boolean' || isChoice
  if (!isScalar) return inside
  const { description, default: fallback, ...rest } = inside
  return {
    ...(description === undefined ? {} : { description }),
    ...(fallback === undefined ? {} : { default: fallback }),
    anyOf: [rest, PLACEHOLDER],
  }
}

const PLACEHOLDER: SchemaNode = { type: 'string', pattern: '^\\$\\{[A-Z_]' }

function mapValues(
  record: Readonly<Record<string, SchemaNode>>,
  change: (node: SchemaNode) => SchemaNode,
): Record<string, SchemaNode> {
  return Object.fromEntries(Object.entries(record).map(([key, node]) => [key, change(node)]))
}
