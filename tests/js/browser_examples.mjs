// The examples that the page links to.

import assert from "node:assert/strict"

import { SITE, ask, inChromium } from "./chromium.mjs"
import { peerHas } from "./live_page.mjs"

await inChromium(async (context) => {
  /** @param {string} name */
  const open = async (name) => {
    const page = await context.newPage()
    await page.goto(`${SITE}examples/${name}.html`)
    return page
  }

  const console = await open("console")
  await console.getByText('the map: {"apple":{"n":3}}').waitFor()
  await console.evaluate("fruits.set('pear', '<b>1')")
  await console.getByText("set pear <b>1").waitFor()
  await peerHas("pear", "<b>1")
  await console.evaluate("fruits.delete('pear')")
  await console.getByText("deleted pear").waitFor()

  const form = await open("form")
  await form.getByText('{"n":3}').waitFor()
  await form.getByLabel("Key").fill("plum")
  await form.getByLabel("Value").fill("<i>blue</i>")
  await form.getByRole("button", { name: "Set" }).click()
  await peerHas("plum", "<i>blue</i>")
  await form.getByText("<i>blue</i>", { exact: true }).waitFor()
  await form.getByLabel("Key").fill("x".repeat(1025))
  await form.getByRole("button", { name: "Set" }).click()
  await form.getByText("a key is 1024 bytes at most, not 1025").waitFor()

  const one = await open("cursors")
  const two = await open("cursors")
  await one.mouse.move(100, 200)
  await one.getByText("One pointer").waitFor()
  await two.mouse.move(300, 200)
  for (const page of [one, two]) {
    await page.getByText("2 pointers").waitFor()
    assert.equal(await page.locator(".cursor").count(), 2)
    assert.equal(await page.locator(".cursor.me").count(), 1)
  }
  await two.close({ runBeforeUnload: true })
  await one.getByText("One pointer").waitFor()

  const chart = await open("chart")
  await chart.getByText("python docs/examples/readings.py").waitFor()
  await ask("readings")
  await chart.getByText("wave").waitFor()
  const line = chart.locator("section", { hasText: "wave" }).locator("polyline")
  const points = async () => ((await line.getAttribute("points")) ?? "").split(" ").length
  while ((await points()) < 5) await chart.waitForTimeout(20)
  await chart.locator("output").first().getByText(/^-?\d+\.\d\d$/).waitFor()
  assert.equal(await chart.locator("section").count(), await ask("readings count"))
})
