// The page that README.md shows, on a site of its own.

import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"

import { RELAY, ask, inChromium } from "./chromium.mjs"

const README = await readFile(new URL("../../README.md", import.meta.url), "utf-8")
const [example, ...others] = README.matchAll(/^```html\n(.*?)^```$/gms)
assert.ok(example !== undefined && others.length === 0, "README.md has one page")
const body = example[1].replaceAll("localhost:8080", new URL(RELAY).host)

await inChromium(async (context) => {
  const page = await context.newPage()
  const address = `${process.argv[2]}/fruits.html`
  await page.route(address, (route) =>
    route.fulfill({ contentType: "text/html; charset=utf-8", body }),
  )
  await page.goto(address)
  await page.getByText('{"apple":3,"plum":{"n":2}}').waitFor()
  assert.deepEqual(await ask("dump"), [["apple", 3], ["plum", { n: 2 }]])
  await ask("set", "<b>", "<i>")
  await page.getByText('"<b>":"<i>"').waitFor()
})
