// The live page in a tab, for the scripts that try it.

/** @import { BrowserContext, Page } from "playwright-core" */
import assert from "node:assert/strict"
import { setTimeout as wait } from "node:timers/promises"

import { SITE, ask } from "./chromium.mjs"

/** What a test asks the page for, by the words that its users see. */
export class LivePage {
  /** @param {Page} page */
  constructor(page) {
    this.page = page
    this.list = page.locator("#list")
    this.rows = page.locator(".row")
    this.value = page.getByLabel("Value, as JSON")
    this.status = page.locator("#status")
  }

  /**
   * Opens a map, and waits until it is there.
   *
   * @param {BrowserContext} context
   * @param {string} uri
   */
  static async open(context, uri) {
    const live = new LivePage(await context.newPage())
    await live.page.goto(`${SITE}#${encodeURIComponent(uri)}`)
    await live.is("Live")
    return live
  }

  /**
   * Waits until this is the status.
   *
   * @param {string} status
   */
  async is(status) {
    await this.status.getByText(status, { exact: true }).waitFor()
  }

  /**
   * The row of a key.
   *
   * @param {string} key as it is written there
   */
  row(key) {
    const exact = new RegExp(`^${key.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`)
    return this.rows.filter({ has: this.page.locator(".key", { hasText: exact }) })
  }

  /**
   * Waits until a row shows this value.
   *
   * @param {string} key
   * @param {string} value
   */
  async shows(key, value) {
    await this.row(key).locator(".value").getByText(value, { exact: true }).waitFor()
  }

  /** @param {string} key */
  async showsNot(key) {
    await this.row(key).waitFor({ state: "detached" })
  }

  /** The keys of the rows, from top to bottom. */
  async keys() {
    return this.rows.locator(".key").allTextContents()
  }

  /** @param {string} name of a button */
  async press(name) {
    await this.page.getByRole("button", { name, exact: true }).click()
  }

  /**
   * Writes into the editor of a new entry, and sets it.
   *
   * @param {string} key
   * @param {string} text
   */
  async setNew(key, text) {
    await this.page.locator("#new").click()
    await this.page.getByLabel("Key", { exact: true }).fill(key)
    await this.value.fill(text)
    await this.press("Set")
  }

  /**
   * What a function of an element returns, once there is such an element and it returns something;
   * looked for at each frame, so that what shows for a moment only is not missed.
   *
   * @template T
   * @param {string} selector
   * @param {(element: Element) => T} look runs in the page
   * @returns {Promise<NonNullable<T>>}
   */
  async seen(selector, look) {
    const source = `(selector => {
      const look = ${look}
      return new Promise((resolve) => {
        const frame = () => {
          for (const element of document.querySelectorAll(selector)) {
            const found = look(element)
            if (found) return resolve(found)
          }
          requestAnimationFrame(frame)
        }
        frame()
      })
    })(${JSON.stringify(selector)})`
    return this.page.evaluate(source)
  }

  /**
   * Waits until a text stands somewhere.
   *
   * @param {string | RegExp} text
   */
  async says(text) {
    await this.page.getByText(text).first().waitFor()
  }

  /**
   * Waits until the page has come to be so.
   *
   * @param {() => Promise<boolean>} condition
   * @param {string} what
   */
  async until(condition, what) {
    for (let n = 0; n < 1500; n++) {
      if (await condition()) return
      await this.page.waitForTimeout(20)
    }
    assert.fail(`it never came to be so: ${what}`)
  }
}

/**
 * Waits until the peer of Python has this value; null stands for none.
 *
 * @param {string} key
 * @param {unknown} value
 * @param {string} [question] what it is asked
 */
export async function peerHas(key, value, question = "get") {
  const wanted = JSON.stringify(value)
  let found
  for (let n = 0; n < 1500; n++) {
    found = JSON.stringify(await ask(question, key))
    if (found === wanted) return
    await wait(20)
  }
  assert.fail(`${key} is ${found}, and not ${wanted}`)
}
