import type { Reporter, TestModule } from 'vitest/node'
import { MISSING } from './missing-mark.js'

/** Ends the run with one line for each group of tests that was skipped because a program is not installed. */
export default class MissingPrograms implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        if (!test.name.startsWith(MISSING)) continue
        const skipped = test.parent.type === 'suite' ? test.parent.fullName : module.relativeModuleId
        process.stdout.write(`skipped: ${skipped} (${test.name})\n`)
      }
    }
  }
}
