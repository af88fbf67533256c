import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { jsonSchema, type SchemaNode } from '../config/json-schema.js'
import { bridgesSchema } from './config.js'
import { bridgesPage } from './reference.js'

describe('the reference of the bridges', () => {
  it('is what the declarations say', () => {
    expect(
      readFileSync('docs/bridges.md', 'utf8') === bridgesPage(),
      'docs/bridges.md is stale: npm run docs',
    ).toBe(true)
  })

  it('describes every key', () => {
    const silent: string[] = []
    const visit = (path: string, node: SchemaNode, described: boolean): void => {
      if (!described && node.description === undefined) silent.push(path)
      for (const [key, child] of Object.entries(node.properties ?? {}))
        visit(`${path}.${key}`, child, key === 'type' || key === 'retry')
      for (const variant of node.oneOf ?? []) visit(path, variant, true)
      if (node.items !== undefined) visit(`${path}[]`, node.items, true)
    }
    visit('', jsonSchema(bridgesSchema), true)
    expect(silent).toEqual([])
  })
})
