import { defineConfig } from 'vitest/config'

const common = { testTimeout: 30_000, hookTimeout: 30_000 }

/** They load the machine so that others would wait, or watch the clock: one at a time, after everything else. */
const alone = ['e2e/kill.test.ts', 'e2e/cluster/chaos.test.ts', 'e2e/demo.test.ts', 'e2e/dashboard.test.ts']

export default defineConfig({
  test: {
    reporters: ['default', './e2e/harness/missing-programs.ts'],
    projects: [
      {
        test: {
          ...common,
          name: 'unit',
          include: ['{broker,bridges,config,dashboard,devices-sim,load-tests}/**/*.test.ts'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          exclude: alone,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...common,
          name: 'alone',
          include: alone,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
