import { writeFileSync } from 'node:fs'
import { bridgesPage } from './reference.js'

writeFileSync('docs/bridges.md', bridgesPage())
