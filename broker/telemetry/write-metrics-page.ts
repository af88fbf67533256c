import { writeFileSync } from 'node:fs'
import { metricsPage } from './metrics-page.js'

writeFileSync('docs/metrics.md', await metricsPage())
