// The live page on a phone, by touch; and for who wants no motion.

import assert from "node:assert/strict"

import { SITE, ask, launch, watch } from "./chromium.mjs"
import { LivePage, peerHas } from "./live_page.mjs"

const browser = await launch()
try {
  const context = await browser.newContext({
    viewport: { width: 360, height: 640 },
    hasTouch: true,
    isMobile: true,
    reducedMotion: "reduce",
  })
  const problems = await watch(context)
  await ask("set", "a key that is longer than a phone is wide, and more", { a: "x".repeat(500) })
  const live = await LivePage.open(context, "/fruits")
  const { page } = live
  const fits = async () => {
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.ok(width <= 360, `${width}`)
  }
  await fits()

  await live.row("apple").tap()
  await live.value.fill("4")
  await fits()
  await page.getByRole("button", { name: "Set", exact: true }).tap()
  await peerHas("apple", 4)
  await page.getByRole("button", { name: "Close", exact: true }).tap()
  await live.shows("apple", "4")

  await page.locator("#new").tap()
  await page.getByLabel("Key", { exact: true }).fill("pear")
  await live.value.fill("1")
  await page.getByRole("button", { name: "Set", exact: true }).tap()
  await peerHas("pear", 1)
  await page.getByRole("button", { name: "Delete", exact: true }).tap()
  await page.getByRole("button", { name: "Undo", exact: true }).tap()
  await peerHas("pear", 1)

  // What can be touched is large enough, and on the screen.
  for (const button of await page.locator("button:visible, summary:visible").all()) {
    const box = await button.boundingBox()
    assert.ok(box !== null && box.height >= 30 && box.x >= 0 && box.x + box.width <= 360)
  }
  for (const menu of ["#here", "#examples"]) {
    await page.locator(`${menu} summary`).tap()
    await fits()
    await page.locator(`${menu} summary`).tap()
  }
  await page.locator("#filter").fill("pe")
  await page.locator("#count").getByText("1 of 3").waitFor()

  // Without motion a change is marked, and nothing moves.
  const marked = live.seen(".row.changed", (row) => {
    const animations = document.getAnimations().length
    return { shadow: getComputedStyle(row).boxShadow, animations }
  })
  await ask("set", "pear", 2)
  const { shadow, animations } = await marked
  assert.notEqual(shadow, "none")
  assert.equal(animations, 0)
  await page.goto(`${SITE}#/empty`)
  await live.says("This map is empty.")
  await fits()
  problems.assertNone()
} finally {
  await browser.close()
}
