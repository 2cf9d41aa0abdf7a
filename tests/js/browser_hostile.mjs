// Keys, values and addresses that would do harm in a page that took them for more than text.

import assert from "node:assert/strict"

import { SITE, ask, inChromium } from "./chromium.mjs"
import { LivePage, peerHas } from "./live_page.mjs"

const IMAGE = "<img src=x onerror='globalThis.harmed = true'>"

await inChromium(async (context, problems) => {
  const [keys, values] = await ask("hostile")
  const live = await LivePage.open(context, "/hostile")
  const { page } = live
  page.on("dialog", () => assert.fail("a dialog"))
  await page.locator("#count").getByText(`${keys.length} entries`).waitFor()
  const harmless = async () => {
    assert.equal(await page.evaluate(() => "harmed" in globalThis), false)
    assert.equal(await page.locator("img, iframe, object, script:not([src])").count(), 0)
    assert.deepEqual(await page.evaluate(() => Object.keys(Object.prototype)), [])
  }
  await harmless()

  // What would turn the text around, or not be seen, is told by its number.
  const shown = await live.keys()
  assert.ok(shown.includes("U+202Egnp.evil"))
  assert.ok(shown.includes("U+0000U+001F"))
  assert.ok(shown.includes(IMAGE))
  assert.ok(shown.includes("__proto__"))

  // Each can be looked at, edited, and deleted.
  for (const [at, key] of [...keys].sort().entries()) {
    await live.list.focus()
    await page.keyboard.press("Home")
    for (let n = 0; n < at; n++) await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    assert.deepEqual(JSON.parse(await live.value.inputValue()), values[at % values.length], key)
    await page.keyboard.press("Escape")
  }
  await harmless()
  await live.setNew("__proto__", '{"__proto__": {"harmed": 1}}')
  await peerHas("__proto__", '{"__proto__":{"harmed":1}}', "text")
  await page.locator("#delete").click()
  await peerHas("__proto__", null, "text")
  await live.press("Undo")
  await peerHas("__proto__", '{"__proto__":{"harmed":1}}', "text")
  await page.locator("#filter").fill("<img")
  await page.locator("#count").getByText(/^1 of/).waitFor()
  await harmless()

  // The address too is what somebody else may have written.
  for (const uri of [IMAGE, "javascript:alert(1)", "__proto__", "\u202e'; $(reboot) #"]) {
    await page.goto(`${SITE}#${encodeURIComponent(uri)}`)
    await live.says("This map is empty.")
    await harmless()
  }
  await page.goto(`${SITE}#%E0%A4%A`) // no UTF-8
  await live.says("This map is empty.")

  // The browser itself would not run it.
  problems.assertNone()
  const blocked = await page.evaluate(() => {
    try {
      document.body.innerHTML = "<b>not text</b>"
      return false
    } catch {
      return true
    }
  })
  assert.ok(blocked)
  await live.until(async () => problems.all.length === 2, "the browser has told so")
  problems.all = []
})
