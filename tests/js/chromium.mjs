// A real browser for the tests: Debian's Chromium, driven by playwright-core. The scripts
// browser_*.mjs use it; tests/support/chromium.py runs them beside a relay.
//
//   import { inChromium, openTab } from "./chromium.mjs"
//
//   await inChromium(async (context, problems) => {
//     const page = await openTab(context)
//     …
//   })
//
// fails if any page of the context wrote an error to the console, threw, or broke its
// Content-Security-Policy.

/** @import { Browser, BrowserContext, LaunchOptions, Page } from "playwright-core" */
import assert from "node:assert/strict"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { chromium } from "playwright-core"

const executablePath = process.env.CHROMIUM || "/usr/bin/chromium"
// Chromium's sandbox does not work for root; without it `--no-sandbox` is passed.
const isRoot = process.getuid?.() === 0

/** The WebSocket of the relay that the script is run beside. */
export const RELAY = process.env.RELAY ?? "ws://localhost:8080/"
/** The relay's web page. */
export const SITE = RELAY.replace(/^ws/, "http")

/** What Chromium itself writes to the console when a connection fails; no page can prevent it. */
export const CONNECTION_FAILED =
  /^WebSocket connection to '.*' failed|^Failed to load resource: net::ERR_/

/** @type {LaunchOptions} */
const OPTIONS = { executablePath, chromiumSandbox: !isRoot, timeout: 60_000 }

/**
 * Starts the browser.
 *
 * @returns {Promise<Browser>}
 */
export function launch() {
  return chromium.launch(OPTIONS)
}

/**
 * Starts the browser with a folder in which the storage of its pages stays.
 *
 * @param {string} profile
 * @returns {Promise<BrowserContext>} closing it ends the browser
 */
export function launchWithProfile(profile) {
  return chromium.launchPersistentContext(profile, OPTIONS)
}

/** What went wrong in the pages of a context, in order. */
export class Problems {
  /** @type {string[]} */
  all = []
  /** @type {string[]} what the pages warned of; no problem */
  warnings = []
  /** @type {RegExp[]} what may happen; a test that brings it about adds it */
  allowed = []

  /** @param {string} text */
  add(text) {
    if (!this.allowed.some((each) => each.test(text))) this.all.push(text)
  }

  assertNone() {
    assert.deepEqual(this.all, [])
  }
}

/**
 * Notes what goes wrong in the pages that a context opens from now on.
 *
 * @param {BrowserContext} context
 * @returns {Promise<Problems>}
 */
export async function watch(context) {
  const problems = new Problems()
  // A page that a route makes counts as one from the internet, which may not connect to loopback.
  await context.grantPermissions(["local-network-access"])
  context.on("console", (message) => {
    if (message.type() === "error") problems.add(message.text())
    if (message.type() === "warning") problems.warnings.push(message.text())
  })
  context.on("weberror", (event) => {
    const error = event.error()
    problems.add(`thrown: ${error.stack || error.message}`)
  })
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
      console.error(`against the Content-Security-Policy: ${violatedDirective} ${blockedURI}`)
    })
  })
  return problems
}

/**
 * Runs a script in a new context of a new browser, and ends the browser; fails if the script fails
 * or there was a problem in any page.
 *
 * @param {(context: BrowserContext, problems: Problems) => Promise<void>} script
 */
export async function inChromium(script) {
  const browser = await launch()
  try {
    const context = await browser.newContext()
    const problems = await watch(context)
    await script(context, problems)
    problems.assertNone()
  } finally {
    await browser.close()
  }
}

/**
 * Opens a tab with an empty page of the relay's own origin; it may load /distmap.js:
 *
 *   await page.evaluate(async () => {
 *     const { connect, DistributedMap } = await import("/distmap.js")
 *   })
 *
 * @param {BrowserContext} context
 * @returns {Promise<Page>}
 */
export async function openTab(context) {
  const page = await context.newPage()
  await page.route(emptyPage(), (route) =>
    route.fulfill({
      contentType: "text/html; charset=utf-8",
      body: '<!doctype html><title>test</title><link rel="icon" href="data:,">',
    }),
  )
  await page.goto(emptyPage())
  return page
}

const WEB = new URL("../../distmap/web/", import.meta.url)

/**
 * Lets a page have the modules of the client while there is no relay to load them from.
 *
 * @param {Page} page
 */
export async function serveModules(page) {
  await page.route(/\/distmap\.js$|\/js\/[a-z0-9_]+\.js$/, (route) => {
    const { pathname } = new URL(route.request().url())
    return route.fulfill({ path: fileURLToPath(new URL(pathname.slice(1), WEB)) })
  })
}

/**
 * Opens a map in a page, as `map`; what its handlers are told is in `heard`.
 *
 * @param {Page} page
 * @param {string} uri
 * @param {object} [options]
 */
export function openMap(page, uri, options = {}) {
  return page.evaluate(
    async ([address, uri, options]) => {
      const { connect, DistributedMap } = await import(/** @type {string} */ (address))
      const map = new DistributedMap(connect(), uri, options)
      /** @type {unknown[]} */
      const heard = []
      for (const name of ["set", "delete", "superseded"]) {
        map.on(name, (/** @type {unknown[]} */ ...args) => heard.push([name, args[1], args[0]]))
      }
      Object.assign(globalThis, { map, heard })
    },
    /** @type {const} */ (["/distmap.js", uri, options]),
  )
}

/**
 * Does something in a page with JSON, which has names such as __proto__ where the browser's driver
 * loses them.
 *
 * @param {Page} page
 * @param {string} code of a function
 * @param {...unknown} args of it
 * @returns {Promise<any>} what it returns
 */
export async function run(page, code, ...args) {
  const text = await page.evaluate(
    async ([code, args]) => {
      const result = await (0, eval)(code)(...JSON.parse(args))
      return JSON.stringify(result) ?? "null"
    },
    [code, JSON.stringify(args)],
  )
  return JSON.parse(text)
}

/**
 * The map of a page, without the order of its keys.
 *
 * @param {Page} page
 * @returns {Promise<[key: string, value: any][]>}
 */
export async function contentOf(page) {
  /** @type {[string, any][]} */
  const items = await run(page, "() => [...map]")
  return items.sort(([a], [b]) => (a < b ? -1 : 1))
}

/**
 * Waits until something holds in a page.
 *
 * @param {Page} page
 * @param {string} expression
 */
export async function until(page, expression) {
  await page.waitForFunction(expression, undefined, { polling: 10, timeout: 20_000 })
}

/** The address of that page; the relay itself has none there. */
export function emptyPage() {
  return new URL("empty", SITE).href
}

// -- the test in Python that runs the script ------------------------------------------------------

/** @type {AsyncIterator<string> | undefined} */
let lines
process.stdin.unref?.() // it shall not keep the script alive

/**
 * Tells the test something, and waits for its answer.
 *
 * @param {string} name
 * @param {...unknown} rest
 * @returns {Promise<any>}
 */
export async function ask(name, ...rest) {
  tell(name, ...rest)
  lines ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  const { done, value } = await lines.next()
  if (done) throw new Error(`no answer to ${name}`)
  return JSON.parse(value)
}

/**
 * Tells the test something.
 *
 * @param {string} name
 * @param {...unknown} rest
 */
export function tell(name, ...rest) {
  process.stdout.write(JSON.stringify([name, ...rest]) + "\n")
}
