// The client's modules, opened for the simulator: it looks at what they keep to themselves, makes
// their sizes small and plants bugs in them.
//
// What is changed is names alone: #name becomes _name, as in Python, and what a module declares can
// be set from outside, as `_set.NAME(value)`; whoever imports it sees the new value.

import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

const SOURCES = fileURLToPath(new URL("../../distmap/web/js/", import.meta.url))
const CLASS = /^(?:export )?class (\w+)(?: extends (\w+))? \{$([^]*?)^\}$/gm
const DECLARED = /^(?:export )?(?:async )?(?:const|class|function\*?) (\w+)/gm

/**
 * A planted bug: a piece of a module that occurs once, and what to put in its place.
 *
 * @typedef {[module: string, before: string, after: string]} Edit
 */

/**
 * Imports all modules.
 *
 * @param {Edit[]} edits
 * @returns {Promise<Record<string, any>>} by name, without `.js`
 */
export async function openModules(edits) {
  const folder = mkdtempSync(join(tmpdir(), "distmap-opened-"))
  try {
    const names = readdirSync(SOURCES).filter((name) => name.endsWith(".js"))
    writeFileSync(join(folder, "package.json"), '{"type":"module"}')
    for (const name of names) {
      let source = readFileSync(join(SOURCES, name), "utf8")
      for (const [module, before, after] of edits) {
        if (`${module}.js` === name) source = replaceOnce(source, before, after)
      }
      writeFileSync(join(folder, name), opened(source))
    }
    const modules = names.map(async (name) => {
      const url = pathToFileURL(join(folder, name)).href
      return [name.replace(/\.js$/, ""), await import(url)]
    })
    return Object.fromEntries(await Promise.all(modules))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/**
 * @param {string} source
 * @param {string} before
 * @param {string} after
 */
function replaceOnce(source, before, after) {
  const parts = source.split(before)
  if (parts.length !== 2) throw new Error(`${parts.length - 1} times in the module: ${before}`)
  return parts.join(after)
}

/** @param {string} source of a module */
export function opened(source) {
  checkNames(source)
  const setters = [...source.matchAll(DECLARED)].map(
    ([, name]) => `${name}: (value) => { ${name} = value }`,
  )
  const named = source.replace(/#(?=[a-z])/gi, "_").replace(/^(export )?const (?=\w)/gm, "$1let ")
  return `${named}\nexport const _set = { ${setters.join(", ")} }\n`
}

/**
 * A subclass may have private names of its own that its superclass has too; opened they would clash.
 *
 * @param {string} source
 */
function checkNames(source) {
  /** @type {Map<string, Set<string>>} */
  const names = new Map()
  for (const [, name, base = "", body] of source.matchAll(CLASS)) {
    const own = new Set([...body.matchAll(/#(\w+)/g)].map(([, each]) => each))
    for (const each of names.get(base) ?? []) {
      if (own.has(each)) throw new Error(`${name} and ${base} both have a private ${each}`)
    }
    names.set(name, own)
  }
}
