import { readFileSync, writeFileSync } from 'node:fs'
import { profileReference, referenceMarkers } from './reference.js'

const file = 'docs/simulator.md'
const page = readFileSync(file, 'utf8')
const from = page.indexOf(referenceMarkers.begin) + referenceMarkers.begin.length
const to = page.indexOf(referenceMarkers.end)
writeFileSync(file, `${page.slice(0, from)}\n\n${profileReference()}\n\n${page.slice(to)}`)
