// The relay's page, and a map that a script of its origin opens; that problems are seen.

import assert from "node:assert/strict"

import { SITE, ask, inChromium, openTab } from "./chromium.mjs"

await inChromium(async (context, problems) => {
  const home = await context.newPage()
  const response = await home.goto(SITE)
  assert.equal(response?.status(), 200)
  problems.assertNone()

  const page = await openTab(context)
  const value = await page.evaluate(async (address) => {
    const { connect, DistributedMap } = await import(address)
    const fruits = new DistributedMap(connect(), "/fruits")
    await fruits.ready()
    await fruits.set("pear", { from: "Chromium" })
    Object.assign(globalThis, { fruits })
    return fruits.get("apple")
  }, "/distmap.js")
  assert.deepEqual(value, { from: "Python" })
  problems.assertNone()
  await ask("written")
  await page.evaluate("fruits.connection.close()")
  problems.assertNone()

  // What is looked for would be found.
  await page.evaluate(() => {
    console.error("an error on the console")
    setTimeout(() => {
      throw new Error("an error that is thrown")
    })
    Promise.reject(new Error("an error that nobody catches"))
  })
  await home.evaluate(() => {
    const style = document.createElement("style")
    style.textContent = "body { color: red }"
    document.head.append(style)
  })
  const expected = ["on the console", "that is thrown", "nobody catches", "against the Content"]
  while (!expected.every((text) => problems.all.some((each) => each.includes(text)))) {
    await page.waitForTimeout(10)
  }
  problems.all = []
})
