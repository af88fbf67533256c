import { GatewayError } from '../broker/contract/errors.js'
import { loadConfig, type ConfigSource, type LoadOptions } from './load.js'
import { problemText, SettingsError, type Problem } from './problem.js'

/** What `openclaw check-config --json` prints. */
export type ConfigReport =
  | { readonly ok: true; readonly source: ConfigSource }
  | {
      readonly ok: false
      readonly code: string
      readonly message: string
      /** Empty when the file could not be opened at all. */
      readonly problems: readonly Problem[]
    }

/** Loads the configuration and reports; touches nothing that it names (ports, certificates, folders). */
export function checkConfig(options: LoadOptions): ConfigReport {
  try {
    return { ok: true, source: loadConfig(options).source }
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    const problems = error instanceof SettingsError ? error.problems : []
    return { ok: false, code: error.code, message: error.message, problems }
  }
}

/** 0, or 2: wrong usage. */
export function reportExitCode(report: ConfigReport): 0 | 2 {
  return report.ok ? 0 : 2
}

/** The report for people, one problem a line; `openclaw start` shows the same before it gives up. */
export function reportText(report: ConfigReport): string {
  if (report.ok) return `ok: ${sourceText(report.source)}`
  if (report.problems.length === 0) return report.message
  const count = report.problems.length === 1 ? '1 problem' : `${report.problems.length} problems`
  return [
    `${count} in the configuration:`,
    ...report.problems.map((problem) => `  ${problemText(problem)}`),
  ].join('\n')
}

/** For the first line of the log. */
export function sourceText(source: ConfigSource): string {
  return source.kind === 'file' ? source.file : `the defaults, for there is no ${source.looked}`
}
