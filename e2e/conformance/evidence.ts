import path from 'node:path'

/** A test that names a statement in its title. */
export interface Evidence {
  /** From the root of the repository, with slashes. */
  readonly file: string
  /** Without the statements that it begins with. */
  readonly title: string
  readonly passed: boolean
}

/** As vitest's JSON reporter writes it; only what is read here. */
export interface TestReport {
  readonly testResults: readonly {
    readonly name: string
    readonly assertionResults: readonly {
      readonly status: string
      readonly ancestorTitles: readonly string[]
      readonly title: string
    }[]
  }[]
}

/** `MQTT-3.1.2-24` of MQTT 5, `MQTT-3.1.1/3.1.2-24` of MQTT 3.1.1. Sections without a statement are left out. */
const STATEMENT = /\[MQTT-((?:3\.1\.1\/)?\d+(?:\.\d+)+-\d+)\]/g

/** The statements that a text names, without `MQTT-`. */
export function statementsIn(text: string): string[] {
  return [...new Set([...text.matchAll(STATEMENT)].map((match) => match[1] ?? ''))]
}

/** By statement: the tests that show it, in the order of files and of tests within them. */
export function evidenceOf(report: TestReport, root: string): Map<string, Evidence[]> {
  const found = new Map<string, Evidence[]>()
  const files = report.testResults.map((result) => ({
    file: path.relative(root, result.name).split(path.sep).join('/'),
    tests: result.assertionResults,
  }))
  files.sort((a, b) => (a.file < b.file ? -1 : 1))
  for (const { file, tests } of files) {
    for (const { ancestorTitles, title, status } of tests) {
      // Skipped for want of a program: shows nothing, and is no failure.
      if (status !== 'passed' && status !== 'failed') continue
      const whole = [...ancestorTitles, title].join(' ')
      const evidence = {
        file,
        title: whole.replaceAll(STATEMENT, '').replaceAll(/\s+/g, ' ').trim(),
        passed: status === 'passed',
      }
      for (const statement of statementsIn(whole)) {
        const known = found.get(statement)
        if (known === undefined) found.set(statement, [evidence])
        else known.push(evidence)
      }
    }
  }
  return found
}
