// Ten thousand entries: whatever is done, only a few rows are in the document.

import assert from "node:assert/strict"

import { ask, inChromium } from "./chromium.mjs"
import { LivePage } from "./live_page.mjs"

const MOST_ROWS = 60

await inChromium(async (context) => {
  await ask("fill", 10_000)
  const live = await LivePage.open(context, "/many")
  const { page, list } = live
  await page.locator("#count").getByText("10,000 entries").waitFor()
  await page.evaluate(() => {
    const seen = { rows: 0, filled: 0 }
    const count = () => (seen.rows = Math.max(seen.rows, document.querySelectorAll(".row").length))
    const observer = new MutationObserver((records) => {
      seen.filled += records.length
      count()
    })
    const list = /** @type {HTMLElement} */ (document.getElementById("list"))
    observer.observe(list, { childList: true, subtree: true })
    count()
    Object.assign(globalThis, { seen })
  })
  /** @returns {Promise<{ rows: number, filled: number }>} */
  const seen = () => page.evaluate("seen")
  assert.equal(await list.getAttribute("aria-rowcount"), "10000")
  await live.shows("key 00000", "0")

  await list.focus()
  await page.keyboard.press("End")
  await live.shows("key 09999", "9999")
  await page.keyboard.press("PageUp")
  await page.keyboard.press("Home")
  await live.shows("key 00000", "0")

  // Scrolled through, all of them come by, in order and without a gap.
  const heights = await list.evaluate((element) => [element.clientHeight, element.scrollHeight])
  for (let top = 0; top < heights[1]; top += 40 * heights[0]) {
    await list.evaluate((element, to) => void (element.scrollTop = to), top)
    const keys = await live.keys()
    const first = Number(keys[0].slice(4))
    assert.deepEqual(keys, keys.map((_, at) => `key ${String(first + at).padStart(5, "0")}`))
    assert.ok(keys.length >= 15, `${keys.length}`)
  }

  // What comes in above does not move what is read.
  await list.evaluate((element) => void (element.scrollTop = 38 * 5000))
  await live.shows("key 05000", "5000")
  const place = () => live.row("key 05005").evaluate((row) => row.getBoundingClientRect().top)
  const before = await place()
  await ask("insert", 100)
  await page.locator("#count").getByText("10,100 entries").waitFor()
  await live.until(async () => Math.abs((await place()) - before) < 2, "it stays in its place")

  // A burst is one pass, not one for each change.
  const { filled } = await seen()
  await ask("burst", 5000)
  await live.shows("key 05005", '"burst"')
  const { rows, filled: after } = await seen()
  assert.ok(after - filled < 3000, `${after - filled} changes of the document for 5000 of the map`)
  assert.ok(rows <= MOST_ROWS, `${rows} rows`)

  await page.locator("#filter").fill("99")
  await page.locator("#count").getByText(/^\d+ of 10,100$/).waitFor()
  assert.ok((await live.keys()).every((key) => key.includes("99")))
  assert.ok((await seen()).rows <= MOST_ROWS)
})
