import { writeFileSync } from 'node:fs'
import { configurationPage, editorSchema } from './reference.js'

writeFileSync('docs/configuration.md', configurationPage())
writeFileSync('config/schema.json', editorSchema())
