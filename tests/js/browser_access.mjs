// The live page beside a relay that takes tickets: nothing shown, something wrong, a ticket to
// read, one to write, one that expires; and that nothing of it stays.

import assert from "node:assert/strict"

import { SITE, ask, inChromium } from "./chromium.mjs"
import { LivePage, peerHas } from "./live_page.mjs"

const READ_ONLY = "You may read this map, and not change it."

await inChromium(async (context) => {
  const live = new LivePage(await context.newPage())
  const { page } = live
  const { keyboard } = page
  const field = page.getByLabel("Credentials", { exact: true }).and(page.locator("input"))
  const trouble = page.locator("#trouble")
  const toast = page.locator("#toast")

  /** @param {string} text */
  async function use(text) {
    await field.fill(text)
    await keyboard.press("Enter")
  }

  /** @param {import("playwright-core").Locator} button */
  async function assertDisabled(button) {
    assert.equal(await button.isDisabled(), true)
    assert.equal(await button.getAttribute("title"), READ_ONLY)
  }

  /** What the browser keeps that a ticket could be in. */
  async function kept() {
    const stored = await page.evaluate(() => [{ ...localStorage }, { ...sessionStorage }])
    const [local, session] = stored.map((each) => JSON.stringify(each))
    return { local: local + page.url() + JSON.stringify(await context.cookies()), session }
  }

  /** On a phone all of it is on the screen, and large enough to be touched. */
  async function fitsPhone() {
    const size = page.viewportSize()
    await page.setViewportSize({ width: 360, height: 640 })
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360)
    const controls = page.locator("#trouble, .top").locator("button:visible, input:visible")
    for (const each of await controls.all()) {
      const box = await each.boundingBox()
      assert.ok(box !== null && box.height >= 30 && box.x >= 0 && box.x + box.width <= 360)
    }
    const top = await page.locator(".top").boundingBox()
    assert.ok(top !== null && top.height < 130) // two lines
    if (size !== null) await page.setViewportSize(size)
  }

  await page.goto(`${SITE}#/fruits`)
  await live.is("Refused")
  await live.says("The relay opens this map only to who shows credentials")
  await live.says("What is in this map is not shown to you.")
  assert.deepEqual(await live.keys(), [])
  for (const [name, value] of [
    ["type", "password"],
    ["autocomplete", "current-password"],
  ]) {
    assert.equal(await field.getAttribute(name), value)
  }
  assert.equal(await page.getByRole("button", { name: "Forget" }).isVisible(), false)
  await fitsPhone()

  // What cannot be shown is told beside the field, and nothing is sent.
  for (const [text, told] of [
    [" ", "Credentials are needed."],
    ["x".repeat(20_000), "Credentials are a text of 16384 bytes at most."],
  ]) {
    await use(text)
    await live.says(told)
    assert.equal(await field.getAttribute("aria-invalid"), "true")
  }
  assert.deepEqual(await ask("shown"), [null])

  await use("no ticket")
  await live.says("The relay does not open this map for these credentials.")
  await live.is("Refused")
  assert.equal(await field.inputValue(), "")
  assert.equal(await field.getAttribute("aria-invalid"), "true")
  assert.ok(await field.evaluate((element) => element === document.activeElement))
  assert.equal((await kept()).session, "{}")
  // It is tried again now and then; what is being typed stays, and the words too.
  await field.fill("half a tick")
  await page.evaluate(() => {
    const others = new Set()
    Object.assign(globalThis, { others })
    const look = () => void others.add(document.querySelector("#status-word")?.textContent)
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true })
  })
  await ask("turned away")
  await page.evaluate(() => dispatchEvent(new Event("online"))) // it would wait for longer
  await ask("tried again")
  assert.equal(await field.getAttribute("aria-invalid"), null)
  assert.deepEqual(await page.evaluate("[...others].filter((word) => word !== 'Refused')"), [])
  assert.equal(await field.inputValue(), "half a tick")

  const reading = await ask("ticket", { "/fruits": "read" }, 600)
  await use(` ${reading} `)
  await live.is("Live")
  await live.shows("apple", "3")
  await trouble.waitFor({ state: "hidden" })
  const button = page.getByRole("button", { name: "Read only" })
  await button.waitFor()
  assert.equal(await live.status.textContent(), "Live, read only")
  assert.ok(await live.list.evaluate((element) => element === document.activeElement))

  // What writes is disabled, and says why; by the keyboard too.
  await live.row("apple").hover()
  const acts = await live.row("apple").locator("button").all()
  assert.equal(acts.length, 2)
  for (const each of [page.locator("#new"), ...acts]) await assertDisabled(each)
  await keyboard.press("Home")
  for (const key of ["n", "Delete", "Backspace", "u"]) {
    await keyboard.press(key)
    await toast.getByText(READ_ONLY).waitFor()
    await page.evaluate(() => void (document.querySelector("#toast p")?.replaceChildren("")))
  }
  await keyboard.press("Enter")
  await page.locator("#panel").waitFor()
  assert.equal(await live.value.inputValue(), "3")
  assert.equal(await live.value.isEditable(), false)
  for (const id of ["#save", "#delete"]) await assertDisabled(page.locator(id))
  await keyboard.press("Control+Enter")
  await live.says("You may read /fruits, and not write to it.")
  await ask("set", "apple", 4)
  await live.until(async () => (await live.value.inputValue()) === "4", "it follows")
  await keyboard.press("Escape")

  // They hold over a reload, in this tab only.
  const other = await context.newPage()
  await other.goto(`${SITE}#/fruits`)
  await other.locator("#status").getByText("Refused").waitFor()
  await other.close()
  await page.reload()
  await live.is("Live")
  await button.waitFor()
  const { local, session } = await kept()
  assert.ok(session.includes(reading))
  assert.ok(!local.includes(reading))

  // Others are shown in their place, with the keyboard alone.
  await button.focus()
  await keyboard.press("Enter")
  await live.says(`${READ_ONLY} Other credentials may let you.`)
  await fitsPhone()
  assert.ok(await field.evaluate((element) => element === document.activeElement))
  await keyboard.press("Escape")
  await trouble.waitFor({ state: "hidden" })
  assert.ok(await button.evaluate((element) => element === document.activeElement))
  await keyboard.press("Enter")
  await use(await ask("ticket", { "/fruits": "write" }, 600))
  await live.is("Live")
  await button.waitFor({ state: "hidden" })
  await live.until(async () => (await live.status.textContent()) === "Live", "it may write")
  await live.setNew("pear", "1")
  await peerHas("pear", 1)
  await keyboard.press("Escape")
  await live.list.focus()
  await keyboard.press("Home")
  await keyboard.press("Delete")
  await peerHas("apple", null)
  await keyboard.press("u")
  await peerHas("apple", 4)

  // They end: the page says so, and what is set until there are others is sent then.
  await page.getByRole("button", { name: "Credentials" }).click()
  await use(await ask("ticket", { "/fruits": "write" }, 4))
  await live.says("Your credentials have expired")
  await live.setNew("plum", "1")
  await ask("tried again")
  await live.says("Your credentials have expired")
  await use(await ask("ticket", { "/fruits": "write" }, 600))
  await peerHas("plum", 1)
  await live.is("Live")
  await live.press("Close")

  // What was set before it is known that nothing may be is taken back, and the page says so.
  await page.goto(`${SITE}#/others`)
  await live.is("Refused")
  await live.setNew("mine", "1")
  await page.locator(".row.waiting").waitFor()
  await use(await ask("ticket", { "/": "read" }, 600))
  await toast.getByText(`What you set was taken back. ${READ_ONLY}`).waitFor()
  await live.showsNot("mine")

  // Forgotten, they are nowhere, and nor is what they opened.
  await page.goto(`${SITE}#/fruits`)
  await live.is("Live")
  await button.click()
  await page.getByRole("button", { name: "Forget" }).click()
  await live.is("Refused")
  await live.says("The relay opens this map only to who shows credentials")
  assert.deepEqual(await live.keys(), [])
  assert.equal((await kept()).session, "{}")
  await page.close()

  // The examples ask for what they need too.
  const example = await context.newPage()
  const asking = example.locator("#asking")
  const says = asking.locator("output")
  const shown = asking.getByLabel("Credentials")
  const set = example.getByRole("button", { name: "Set" })
  /** @param {string} text */
  async function show(text) {
    await shown.fill(text)
    await shown.press("Enter")
  }

  await example.goto(`${SITE}examples/form.html`)
  await says.getByText("The relay asks for credentials").waitFor()
  assert.equal(await set.isDisabled(), true)
  await show(" ")
  await says.getByText("Credentials are needed.").waitFor()
  await show("no ticket")
  await says.getByText("does not open this map for these credentials").waitFor()
  assert.equal(await shown.inputValue(), "")
  await show(await ask("ticket", { "/fruits": "read", "/cursors": "read" }, 600))
  await says.getByText(READ_ONLY).waitFor()
  await example.getByText("pear", { exact: true }).waitFor()
  assert.equal(await shown.isVisible(), false)
  assert.equal(await set.isDisabled(), true)
  assert.ok(!example.url().includes("ey")) // as a ticket begins
  // They hold in this tab: here a pointer may not be written, which is no error.
  await example.goto(`${SITE}examples/cursors.html`)
  await says.getByText(READ_ONLY).waitFor()
  await example.mouse.move(50, 50)
  await example.goto(`${SITE}examples/chart.html`)
  await says.getByText("does not open this map for these credentials").waitFor()
  await show(await ask("ticket", { "*": "write" }, 600))
  await asking.waitFor({ state: "hidden" })
  await example.goto(`${SITE}examples/form.html`)
  await example.getByText("pear", { exact: true }).waitFor()
  assert.equal(await asking.isVisible(), false)
  await example.getByLabel("Key").fill("of an example")
  await set.click()
  await peerHas("of an example", "")
})
