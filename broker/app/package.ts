import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** The folder of `package.json`: the nearest one above, be it from the sources or from `dist`. */
export const PACKAGE_FOLDER = findPackage(import.meta.dirname)

export const PACKAGE_VERSION = readVersion()

function findPackage(folder: string): string {
  return existsSync(path.join(folder, 'package.json')) ? folder : findPackage(path.dirname(folder))
}

function readVersion(): string {
  const text = readFileSync(path.join(PACKAGE_FOLDER, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
