// What an editor shows of the public types: read from the declarations that are published.
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript-api'
import { describe, expect, test } from 'vitest'
import { publicEntries } from '../scripts/entries.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const packages = join(root, 'packages').replaceAll('\\', '/')
const entries = publicEntries(root)

const program = ts.createProgram({
  rootNames: entries.map(({ declarations }) => declarations),
  options: {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules', '@types')],
  },
})
const checker = program.getTypeChecker()

/** Whether a declaration is in one of these packages, and not in Node's types or a framework's. */
function isOurs(node: ts.Node): boolean {
  const { fileName } = node.getSourceFile()
  return fileName.startsWith(packages) && !fileName.includes('/node_modules/')
}

function resolved(symbol: ts.Symbol): ts.Symbol {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
}

/** What an entry exports, re-exports of other packages included, by the symbols themselves. */
function exportsOf(declarations: string): Map<ts.Symbol, string> {
  const file = program.getSourceFile(declarations)
  const module = file === undefined ? undefined : checker.getSymbolAtLocation(file)
  if (module === undefined) throw new Error(`no module: ${declarations}`)
  return new Map(checker.getExportsOfModule(module).map((symbol) => [resolved(symbol), symbol.name]))
}

/** The names in a type, a signature or a whole declaration that lead to declarations of ours. */
function namedIn(declaration: ts.Node): ts.Symbol[] {
  const found: ts.Symbol[] = []
  const visit = (node: ts.Node): void => {
    const name = ts.isTypeReferenceNode(node)
      ? node.typeName
      : ts.isExpressionWithTypeArguments(node)
        ? node.expression
        : null
    const symbol = name === null ? undefined : checker.getSymbolAtLocation(name)
    if (symbol !== undefined && !(symbol.flags & ts.SymbolFlags.TypeParameter)) found.push(resolved(symbol))
    if (ts.isImportTypeNode(node)) {
      const imported = checker.getSymbolAtLocation(node.qualifier ?? node)
      if (imported !== undefined) found.push(resolved(imported))
    }
    ts.forEachChild(node, visit)
  }
  visit(declaration)
  // What we add to a framework's own type is found there.
  return found.filter(({ declarations }) => declarations?.every((each) => isOurs(each) && !ts.isSourceFile(each)))
}

const MAIN = new Map(entries.filter(({ name }) => name === 'index').map((entry) => [entry.packageName, entry]))

/** All that the entries of one package export. */
function exportsOfPackage(name: string): Set<ts.Symbol> {
  const symbols = new Set<ts.Symbol>()
  for (const { packageName, declarations } of entries) {
    if (packageName === name) for (const symbol of exportsOf(declarations).keys()) symbols.add(symbol)
  }
  return symbols
}

const isType = ({ flags }: ts.Symbol) => (flags & ts.SymbolFlags.Value) === 0

describe('the public types', () => {
  test('are found in every package', () => {
    expect([...MAIN.keys()].toSorted()).toEqual(
      ['admin', 'core', 'express', 'fastify', 'koa', 'postgres', 'redis'].map((name) => `@canary-release/${name}`),
    )
    for (const { declarations } of entries) expect(exportsOf(declarations).size).toBeGreaterThan(0)
  })

  for (const { specifier, declarations, packageName, folder } of entries) {
    test(`of ${specifier} name only types that users can import`, () => {
      const exported = exportsOf(declarations)
      const main = MAIN.get(packageName)
      // What a function or class names comes from the same entry, or the one that bears the package's name; what those
      // types are made of may have an entry of its own. Types of another package are that package's to export.
      const nearby = new Set([...exported.keys(), ...exportsOf(main?.declarations ?? declarations).keys()])
      const anywhere = exportsOfPackage(packageName)
      const missing = [...exported].flatMap(([symbol, exportedAs]) =>
        (symbol.declarations ?? [])
          .filter((each) => each.getSourceFile().fileName.startsWith(folder.replaceAll('\\', '/')))
          .flatMap(namedIn)
          .filter((named) => !(isType(symbol) ? anywhere : nearby).has(named))
          .map((named) => `${exportedAs} names ${named.name}`),
      )
      expect([...new Set(missing)].toSorted()).toEqual([])
    })

    test(`of ${specifier} have a hover text for each name and each property, with the default of what may be left out`, () => {
      const problems = [...exportsOf(declarations)].flatMap(([symbol, exportedAs]) => problemsOf(symbol, exportedAs))
      expect([...new Set(problems)].toSorted()).toEqual([])
    })
  }
})

function textOf(symbol: ts.Symbol): string {
  return ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim()
}

function problemsOf(symbol: ts.Symbol, exportedAs: string): string[] {
  const declarations = (symbol.declarations ?? []).filter(isOurs)
  if (declarations.length === 0) return []
  const own = textOf(symbol) === '' ? [`${exportedAs} has no text`] : []
  return [...own, ...declarations.flatMap((declaration) => propertyProblems(declaration, exportedAs))]
}

/** Of an interface, a class or a type of objects: also of objects inside. */
function propertyProblems(declaration: ts.Node, path: string): string[] {
  const problems: string[] = []
  const visit = (node: ts.Node, above: string): void => {
    let within = above
    if (ts.isPropertySignature(node) || ts.isPropertyDeclaration(node) || ts.isMethodSignature(node)) {
      within = `${above}.${node.name.getText()}`
      problems.push(...problemsOfMember(node, within, path))
    }
    // What a function takes and returns is said of the function.
    if (ts.isFunctionTypeNode(node) || ts.isMethodSignature(node) || ts.isMappedTypeNode(node)) return
    ts.forEachChild(node, (child) => visit(child, within))
  }
  if (ts.isInterfaceDeclaration(declaration) || ts.isClassDeclaration(declaration)) {
    for (const member of declaration.members) visit(member, path)
  } else if (ts.isTypeAliasDeclaration(declaration)) visit(declaration.type, path)
  return problems
}

/** Members of a union such as `{ header } | { cookie }` are told apart by their names, and explained by the union. */
function isBranch(node: ts.Node): boolean {
  return ts.isTypeLiteralNode(node.parent) && ts.isUnionTypeNode(node.parent.parent)
}

function problemsOfMember(
  node: ts.PropertySignature | ts.PropertyDeclaration | ts.MethodSignature,
  path: string,
  owner: string,
): string[] {
  if (ts.isPrivateIdentifier(node.name) || isBranch(node)) return []
  const symbol = checker.getSymbolAtLocation(node.name)
  if (symbol === undefined) return [`${path} has no symbol`]
  const text = textOf(symbol)
  const tags = symbol.getJsDocTags(checker).filter(({ name }) => name === 'default')
  const defaults = tags.map(({ text: parts }) => ts.displayPartsToString(parts).trim())
  if (node.questionToken !== undefined && !ts.isMethodSignature(node)) {
    if (text === '') return [`${path} has no text`]
    return defaults.length === 1 && defaults[0] !== '' ? [] : [`${path} has no @default`]
  }
  if (text === '') return [`${path} has no text`]
  return owner.endsWith('Options') && !/\brequired\b/i.test(text) ? [`${path} does not say that it is required`] : []
}
