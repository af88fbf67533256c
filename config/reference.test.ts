import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { jsonSchema, type SchemaNode } from './json-schema.js'
import { configurationPage, editorSchema } from './reference.js'
import { configSchema } from './schema.js'

describe('the reference', () => {
  it.each([
    ['docs/configuration.md', configurationPage()],
    ['config/schema.json', editorSchema()],
  ])('%s is what the schema says', (file, wanted) => {
    expect(readFileSync(file, 'utf8') === wanted, `${file} is stale: npm run docs`).toBe(true)
  })

  it('describes every key', () => {
    const silent: string[] = []
    const visit = (path: string, node: SchemaNode, described: boolean): void => {
      if (!described && node.description === undefined) silent.push(path)
      for (const [key, child] of Object.entries(node.properties ?? {})) visit(`${path}.${key}`, child, false)
      for (const variant of node.oneOf ?? []) visit(path, variant, true)
      if (node.items !== undefined) visit(`${path}[]`, node.items, true)
    }
    visit('', jsonSchema(configSchema), true)
    expect(silent).toEqual([])
  })

  it('is named in every file that ships, for editors', () => {
    expect(readFileSync('config/gateway.yaml', 'utf8')).toMatch(
      /^# yaml-language-server: \$schema=\.\/schema\.json\n/,
    )
  })
})
