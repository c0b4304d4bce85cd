// Reports of what each public entry exports, in packages/*/api/*.api.md, by API Extractor: a change of the public
// interface is a change of these files, which a reviewer sees.
// `node scripts/api.js` writes them; `node scripts/api.js --check` fails if they do not say what the build exports.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor'
import { publicEntries } from './entries.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const check = process.argv.includes('--check')
const temporary = mkdtempSync(join(tmpdir(), 'canary-api-'))
const nothing = { default: { logLevel: ExtractorLogLevel.None } }

/** A subpath such as `a/b` as a file's name. */
const fileNameOf = ({ name }) => `${name.replaceAll('/', '-')}.api.md`

function configOf(entry) {
  return ExtractorConfig.prepare({
    packageJsonFullPath: join(entry.folder, 'package.json'),
    configObject: {
      projectFolder: entry.folder,
      mainEntryPointFilePath: entry.declarations,
      compiler: { tsconfigFilePath: join(entry.folder, 'tsconfig.json'), skipLibCheck: true },
      apiReport: {
        enabled: true,
        reportFileName: fileNameOf(entry),
        reportFolder: join(entry.folder, 'api'),
        reportTempFolder: temporary,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: 'lf',
      // That types are exported and documented is tested by test/public-types.test.ts.
      messages: {
        compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
        extractorMessageReporting: nothing,
        tsdocMessageReporting: nothing,
      },
    },
    configObjectFullPath: undefined,
  })
}

function report(entry) {
  const problems = []
  mkdirSync(join(entry.folder, 'api'), { recursive: true })
  const { succeeded, apiReportChanged } = Extractor.invoke(configOf(entry), {
    localBuild: !check,
    messageCallback(message) {
      message.handled = true
      if (message.logLevel === ExtractorLogLevel.Error) problems.push(message.formatMessageWithLocation(root))
    },
  })
  const path = relative(root, join(entry.folder, 'api', fileNameOf(entry)))
  if (problems.length > 0) process.stderr.write(`${entry.specifier}: ${problems.join('\n')}\n`)
  if (apiReportChanged && check) process.stderr.write(`${path} does not say what ${entry.specifier} exports.\n`)
  if (apiReportChanged && !check) process.stdout.write(`${path} is written anew.\n`)
  return problems.length === 0 && (check ? succeeded && !apiReportChanged : true)
}

/** Reports of entries that are gone. */
function strayReports(entries) {
  const known = new Set(entries.map((entry) => join(entry.folder, 'api', fileNameOf(entry))))
  const folders = [...new Set(entries.map(({ folder }) => join(folder, 'api')))].filter((folder) => existsSync(folder))
  return folders
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => !known.has(path))
}

try {
  const entries = publicEntries(root)
  const results = entries.map(report)
  const stray = strayReports(entries)
  for (const path of stray) {
    if (check) process.stderr.write(`${relative(root, path)} is of an entry that is no more.\n`)
    else rmSync(path)
  }
  const good = results.every(Boolean) && (stray.length === 0 || !check)
  if (!good && check) process.stderr.write('If the change is meant: `npm run api`, and say it in a changeset.\n')
  process.exitCode = good ? 0 : 1
} finally {
  rmSync(temporary, { recursive: true, force: true })
}
