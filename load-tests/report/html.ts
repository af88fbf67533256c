import type { LoadReport } from './report.js'
export function htmlReport(report: LoadReport): string {
  return JSON.stringify(report)
}
