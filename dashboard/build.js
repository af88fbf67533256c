// Bundles the page into dist/dashboard: index.html, and assets whose names carry the hash of their content, so
// that they may be cached for ever.
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { build } from 'esbuild'

const source = import.meta.dirname
const target = path.join(source, '..', 'dist', 'dashboard')

await rm(target, { recursive: true, force: true })
await mkdir(target, { recursive: true })
const { metafile } = await build({
  entryPoints: [path.join(source, 'src', 'main.ts')],
  outdir: target,
  entryNames: '[name]-[hash]',
  bundle: true,
  minify: true,
  metafile: true,
  format: 'esm',
  target: 'es2022',
  define: { global: 'globalThis' },
  logLevel: 'warning',
})

let html = await readFile(path.join(source, 'index.html'), 'utf8')
for (const output of Object.keys(metafile.outputs)) {
  const name = path.basename(output)
  html = html.replace(`main${path.extname(name)}`, name)
}
await writeFile(path.join(target, 'index.html'), html)
await copyFile(path.join(source, 'icon.svg'), path.join(target, 'icon.svg'))
