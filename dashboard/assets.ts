/** The page's files, read once: TypeScript with its types stripped, libraries as the ES modules that they ship. */
import { createHash } from 'node:crypto'
import { stripTypeScriptTypes } from 'node:module'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { Disk } from '../common/ports.ts'

export interface Asset {
  readonly contentType: string
  readonly body: Buffer
  readonly gzipped: Buffer
  readonly etag: string
}

const PAGE = fileURLToPath(new URL('page/', import.meta.url))

interface Library {
  readonly path: string
  /** What the page imports. */
  readonly name: string
  readonly module: string
}

const LIBRARIES: readonly Library[] = [
  { path: 'vendor/preact.js', name: 'preact', module: 'preact' },
  { path: 'vendor/preact-hooks.js', name: 'preact/hooks', module: 'preact/hooks' },
  { path: 'vendor/htm.js', name: 'htm', module: 'htm' },
  { path: 'vendor/uplot.js', name: 'uplot', module: 'uplot/dist/uPlot.esm.js' },
]
const UPLOT_STYLE = 'vendor/uplot.css'

/** By path, without the leading slash. */
export function loadAssets(disk: Disk): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>()
  const add = (path: string, contentType: string, content: string | Buffer): void => {
    const body = Buffer.from(content)
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
    assets.set(path, { contentType, body, gzipped: gzipSync(body), etag })
  }
  const names = disk.listSync(PAGE).map(({ name }) => name)
  for (const name of names) {
    const content = read(disk, `${PAGE}${name}`)
    if (isScript(name)) {
      const script = stripTypeScriptTypes(content.toString('utf8'))
      add(name, 'text/javascript; charset=utf-8', withPaths(script, '.'))
    } else if (name.endsWith('.css')) add(name, 'text/css; charset=utf-8', content)
    else if (name.endsWith('.html')) {
      const scripts = [...names.filter(isScript), ...LIBRARIES.map(({ path }) => path)]
      add(name, 'text/html; charset=utf-8', withPreloads(content.toString('utf8'), scripts))
    } else if (name.endsWith('.svg')) add(name, 'image/svg+xml', content)
  }
  for (const { path, module } of LIBRARIES) {
    const script = read(disk, fileURLToPath(import.meta.resolve(module))).toString('utf8')
    const withoutMap = script.replace(/^\/\/# sourceMappingURL=.*$/mu, '')
    add(path, 'text/javascript; charset=utf-8', withPaths(withoutMap, '..'))
  }
  const style = fileURLToPath(import.meta.resolve('uplot/dist/uPlot.min.css'))
  add(UPLOT_STYLE, 'text/css; charset=utf-8', read(disk, style))
  return assets
}

function isScript(name: string): boolean {
  return name.endsWith('.ts')
}

/** All modules are asked for at once, not each after the one that imports it. */
function withPreloads(page: string, scripts: readonly string[]): string {
  const links = scripts.map((path) => `    <link rel="modulepreload" href="${path}" />\n`)
  return page.replace('  </head>', `${links.join('')}  </head>`)
}

function read(disk: Disk, path: string): Buffer {
  const content = disk.readFileSync(path)
  if (content === null) throw new Error(`${path} is missing: the installation is not complete`)
  return content
}

/** Browsers take no bare names without an import map, which would have to be inline. */
function withPaths(script: string, root: string): string {
  return script.replaceAll(
    /(\bfrom\s*|\bimport\s*)(["'])([^"']+)\2/gu,
    (whole, before: string, quote: string, name: string) => {
      const path = LIBRARIES.find((library) => library.name === name)?.path
      return path === undefined ? whole : `${before}${quote}${root}/${path}${quote}`
    },
  )
}
