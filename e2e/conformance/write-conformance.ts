import { readFileSync, writeFileSync } from 'node:fs'
import { evidenceOf, type TestReport } from './evidence.js'
import { conformancePage } from './page.js'

const [reportFile] = process.argv.slice(2)
if (reportFile === undefined)
  throw new Error('usage: write-conformance REPORT (of the JSON reporter of vitest)')
const report = JSON.parse(readFileSync(reportFile, 'utf8')) as TestReport
writeFileSync('docs/conformance.md', conformancePage(evidenceOf(report, process.cwd())))
