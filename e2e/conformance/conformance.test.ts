import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { evidenceOf, statementsIn } from './evidence.js'
import { conformancePage } from './page.js'
import { statements } from './statements.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const page = readFileSync(path.join(root, 'docs/conformance.md'), 'utf8')

/** Rows of the tables of the page: by statement, the files that show it. */
function rows(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  let older = ''
  for (const line of page.split('\n')) {
    if (line.startsWith('## ')) older = line === '## MQTT 3.1.1' ? '3.1.1/' : ''
    const id = /^\| (\d+(?:\.\d+)+-\d+) \|/.exec(line)?.[1]
    if (id === undefined) continue
    found.set(older + id, new Set([...line.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map((match) => match[1] ?? '')))
  }
  return found
}

describe('docs/conformance.md (written by `npm run docs:conformance`)', () => {
  const listed = rows()

  test('lists every statement, each with a test or the reason why there is none', () => {
    for (const { id, untested } of statements) {
      const files = listed.get(id)
      expect(files, id).toBeDefined()
      if (untested === undefined) expect(files?.size, id).toBeGreaterThan(0)
    }
    expect(page).not.toMatch(/\*\*(gap|fail)\*\*/)
  })

  test('lists the statements that the protocol tests name now, and no others', () => {
    const directory = 'e2e/protocol'
    for (const name of readdirSync(path.join(root, directory))) {
      const file = `${directory}/${name}`
      const named = statementsIn(readFileSync(path.join(root, file), 'utf8')).sort()
      const onPage = [...listed].filter(([, files]) => files.has(file)).map(([id]) => id)
      expect(onPage.sort(), file).toEqual(named)
    }
  })

  test('refers to files that are there', () => {
    const files = new Set([...listed.values()].flatMap((each) => [...each]))
    for (const file of files) expect(() => readFileSync(path.join(root, file)), file).not.toThrow()
  })
})

describe('the page', () => {
  const report = (status: string, title: string) => ({
    testResults: [
      { name: '/r/e2e/a.test.ts', assertionResults: [{ status, ancestorTitles: ['CONNECT'], title }] },
    ],
  })

  test('tells a statement that is shown, one that fails and one without a test apart', () => {
    const passed = conformancePage(evidenceOf(report('passed', '[MQTT-3.1.0-1] comes first'), '/r'))
    expect(passed).toContain('[e2e/a.test.ts](../e2e/a.test.ts): CONNECT comes first | pass |')
    expect(passed).toMatch(/\| 3\.1\.0-2 \|.*\*\*gap\*\*/)
    expect(passed).toMatch(/\| 3\.2\.2-4 \|.*\| client \|/)
    const failed = conformancePage(evidenceOf(report('failed', '[MQTT-3.1.0-1] comes first'), '/r'))
    expect(failed).toMatch(/\| 3\.1\.0-1 \|.*\*\*fail\*\*/)
  })

  test('does not count a test that was skipped', () => {
    expect(evidenceOf(report('pending', '[MQTT-3.1.0-1]'), '/r').size).toBe(0)
  })

  test('keeps the marks of test names out of its tables', () => {
    const text = conformancePage(evidenceOf(report('passed', '[MQTT-3.1.0-1] a|b `#` <x>'), '/r'))
    expect(text).toContain('a&#124;b &#96;&#35;&#96; &#60;x&#62;')
  })
})
