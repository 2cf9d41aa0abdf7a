// Every control of the live page, with the mouse and with the keyboard, beside a peer of Python.

import assert from "node:assert/strict"

import { CONNECTION_FAILED, SITE, ask, inChromium } from "./chromium.mjs"
import { LivePage, peerHas } from "./live_page.mjs"

/** @type {LivePage} */
let live

/** @param {string} name @param {() => Promise<void>} part */
async function part(name, part) {
  try {
    await part()
  } catch (error) {
    throw new Error(`in the part “${name}”`, { cause: error })
  }
}

await inChromium(async (context, problems) => {
  live = await LivePage.open(context, "/fruits")
  const { page } = live
  const { keyboard } = page

  await part("an entry: value, writer, age", async () => {
    await live.shows("apple", '{"n": 3}')
    const writer = await ask("writer", "apple")
    const cell = live.row("apple").locator(".writer")
    assert.equal(await cell.textContent(), writer.slice(0, 6))
    assert.equal(await cell.getAttribute("title"), writer)
    assert.match((await live.row("apple").locator(".age").textContent()) ?? "", /^now$|^\d+ s$/)
    assert.equal(await page.title(), "/fruits · distmap")
    await page.locator("#count").getByText("1 entry").waitFor()
  })

  await part("who is here", async () => {
    await page.locator("#here-count").getByText("2").waitFor()
    await page.locator("#here summary").click()
    await live.says("You and one other have this map open.")
    await live.says(await ask("writer", "apple"))
    await keyboard.press("Escape")
    await page.locator("#here-sheet").waitFor({ state: "hidden" })
  })

  await part("a peer's write flashes", async () => {
    for (const [value, text] of [
      [[1, null], "[1, null]"],
      [{ n: 1 }, '{"n": 1}'],
    ]) {
      const flashing = live.seen(".row.changed .flash", (flash) => {
        const isSeen = flash.getAnimations().length > 0 && getComputedStyle(flash).opacity > "0"
        return isSeen && flash.parentElement?.querySelector(".key")?.textContent
      })
      await ask("set", "pear", value)
      assert.equal(await flashing, "pear")
      await live.shows("pear", String(text))
      await page.locator(".row.changed").waitFor({ state: "detached" })
    }
  })

  await part("a peer's delete shows, and goes", async () => {
    await ask("set", "gone", 1)
    await live.shows("gone", "1")
    const going = live.seen(".row.gone", (row) => row.querySelector(".key")?.textContent)
    await ask("delete", "gone")
    assert.equal(await going, "gone")
    await live.showsNot("gone")
    assert.deepEqual(await live.keys(), ["apple", "pear"])
  })

  await part("a new entry", async () => {
    await live.setNew("plum", '{"ripe": true}')
    await peerHas("plum", { ripe: true })
    await live.shows("plum", '{"ripe": true}')
    assert.equal(await live.row("plum").locator(".writer").textContent(), "you")
    await live.page.locator("#panel-title").getByText("plum").waitFor()
    await live.press("Close")
  })

  await part("errors stand beside the field", async () => {
    await live.setNew("", "1")
    await live.says("A key cannot be empty.")
    assert.equal(await page.locator("#key").getAttribute("aria-invalid"), "true")
    await page.locator("#key").fill("é".repeat(513))
    await live.press("Set")
    await live.says("A key is 1024 bytes at most, not 1026.")
    await page.locator("#key").fill("text")
    await live.value.fill("")
    await live.press("Set")
    await live.says("A value is needed")
    await live.value.fill('{"n": }')
    await live.press("Set")
    await live.says(/^This is no JSON: [^]+\.$/)
    assert.equal(await page.locator("#quote").isVisible(), false)
    await live.value.fill(JSON.stringify("x".repeat(300_000)))
    await live.press("Set")
    await live.says("A value is 262144 bytes at most, not 300002.")
    await live.value.fill("12345678901234567890")
    await live.press("Set")
    await live.says("An integer is within +-(2**53 - 1).")
    assert.equal(await ask("get", "text"), null)
    await live.value.fill("it is red")
    await live.press("Set")
    await live.press("Set it as a text")
    await peerHas("text", "it is red")
    await page.locator("#value-error").waitFor({ state: "hidden" })
    await live.press("Close")
    await page.locator("#new").click()
    await page.locator("#key").fill("apple")
    await live.says("This key has a value already")
    await live.press("Close")
  })

  await part("with the keyboard: choose, edit, set", async () => {
    await live.list.focus()
    await keyboard.press("Home")
    await keyboard.press("ArrowDown")
    await live.until(async () => {
      const active = await live.list.getAttribute("aria-activedescendant")
      return (await page.locator(`#${active} .key`).textContent()) === "pear"
    }, "the second row is the active one")
    await keyboard.press("Enter")
    assert.ok(await live.value.evaluate((element) => element === document.activeElement))
    assert.deepEqual(JSON.parse(await live.value.inputValue()), { n: 1 })
    await live.value.fill('{"n": 2}')
    await keyboard.press("Control+Enter")
    await peerHas("pear", { n: 2 })
    await live.shows("pear", '{"n": 2}')
    await keyboard.press("Escape")
    await page.locator("#panel").waitFor({ state: "hidden" })
    assert.ok(await live.list.evaluate((element) => element === document.activeElement))
  })

  await part("an edit that was not set is kept, and can be reverted", async () => {
    await live.row("pear").click()
    await live.value.fill("4")
    await live.row("apple").click()
    assert.deepEqual(JSON.parse(await live.value.inputValue()), { n: 3 })
    await live.row("pear").and(page.locator(".draft")).waitFor()
    await live.row("pear").click()
    assert.equal(await live.value.inputValue(), "4")
    await live.press("Revert")
    assert.deepEqual(JSON.parse(await live.value.inputValue()), { n: 2 })
    await page.locator(".draft").waitFor({ state: "detached" })
  })

  await part("others write what is being edited", async () => {
    await ask("set", "pear", 5)
    await live.until(async () => (await live.value.inputValue()) === "5", "it follows")
    await live.value.fill("6")
    await ask("set", "pear", 7)
    await live.says(/^Meanwhile \w+ has set another value\.$/)
    assert.equal(await live.value.inputValue(), "6")
    await live.press("Take theirs")
    assert.equal(await live.value.inputValue(), "7")
    await ask("delete", "pear")
    await live.says("It is deleted. Setting it brings it back.")
    await live.press("Set")
    await peerHas("pear", 7)
    await live.press("Close")
  })

  await part("delete and undo", async () => {
    await live.list.focus()
    await keyboard.press("Home")
    await keyboard.press("Delete")
    await live.says("Deleted “apple”.")
    await peerHas("apple", null)
    await live.press("Undo")
    await peerHas("apple", { n: 3 })
    await live.row("plum").hover()
    await live.row("plum").getByRole("button", { name: "Delete" }).click()
    await peerHas("plum", null)
    await live.row("pear").click()
    await page.locator("#delete").click()
    await page.locator("#panel").waitFor({ state: "hidden" })
    await peerHas("pear", null)
    await keyboard.press("u")
    await peerHas("pear", 7)
    await ask("set", "plum", "another")
    await live.shows("plum", '"another"')
    await keyboard.press("u")
    await live.says("Somebody has set “plum” since: it stays as it is.")
    await live.shows("plum", '"another"')
  })

  await part("the filter", async () => {
    await keyboard.press("/")
    await keyboard.type("PL")
    await page.locator("#count").getByText("2 of 4").waitFor()
    assert.deepEqual(await live.keys(), ["apple", "plum"])
    assert.equal(await live.row("plum").locator("mark").textContent(), "pl")
    await keyboard.press("Enter")
    assert.ok(await live.list.evaluate((element) => element === document.activeElement))
    await keyboard.press("/")
    await keyboard.type("no such key")
    await live.says("No key has this in it.")
    await keyboard.press("Escape")
    await live.shows("text", '"it is red"')
    assert.equal((await live.keys()).length, 4)
    await keyboard.press("Escape")
    await keyboard.press("Escape")
  })

  await part("bytes and digest", async () => {
    const digest = await ask("digest")
    await page.locator("#digest").getByText(digest, { exact: true }).waitFor()
    assert.match((await page.locator("#sync-bytes").textContent()) ?? "", /^[\d.]+ k?B in \d+ ms$/)
    assert.match((await page.locator("#received").textContent()) ?? "", /^[\d.]+ k?B$/)
    assert.match((await page.locator("#sent").textContent()) ?? "", /^[\d.]+ k?B$/)
  })

  await part("another map, and back", async () => {
    await keyboard.press("o")
    await keyboard.type("/a b/é?#%")
    await keyboard.press("Enter")
    await live.says("This map is empty.")
    assert.match(page.url(), /#\/a%20b\/%C3%A9%3F%23%25$/)
    await live.says(`distmap set ${SITE.replace("http", "ws")} '/a b/é?#%' apple`)
    await page.goBack()
    await live.shows("plum", '"another"')
    await page.getByLabel("Map", { exact: true }).fill("u".repeat(901))
    await live.press("Open")
    await live.says("a URI is 1 to 900 bytes.")
    await live.shows("plum", '"another"')
    for (const address of [SITE, `${SITE}#${"u".repeat(901)}`]) {
      await page.goto("about:blank")
      await page.goto(address)
      await live.is("Live")
      assert.equal(await page.title(), "/distributed-map · distmap")
    }
    await live.says("a URI is 1 to 900 bytes.")
    await page.goto(`${SITE}#/fruits`)
    await live.is("Live")
  })

  await part("keys, look, examples", async () => {
    await live.list.focus()
    await keyboard.press("?")
    await page.getByRole("dialog").waitFor()
    await keyboard.press("Escape")
    await page.getByRole("dialog").waitFor({ state: "hidden" })
    await live.press("Keys")
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).click()
    const root = page.locator("html")
    const ground = () => root.evaluate((element) => getComputedStyle(element).backgroundColor)
    const light = await ground()
    await live.press("Dark look")
    assert.notEqual(await ground(), light)
    await page.reload()
    await live.press("Light look")
    assert.equal(await ground(), light)
    await page.emulateMedia({ colorScheme: "dark" })
    await page.locator('[aria-label="Light look"]').waitFor()
    assert.notEqual(await ground(), light)
    await page.emulateMedia({ colorScheme: "light" })
    await page.getByText("Examples").click()
    const links = page.getByRole("navigation").getByRole("link")
    assert.equal(await links.count(), 4)
    for (const link of await links.all()) {
      const address = new URL((await link.getAttribute("href")) ?? "", SITE).href
      assert.equal((await context.request.get(address)).status(), 200, address)
    }
    await live.list.click()
    await page.getByRole("navigation").waitFor({ state: "hidden" })
    await keyboard.press("Escape")
  })

  await part("without a connection", async () => {
    problems.allowed.push(CONNECTION_FAILED)
    await ask("stop")
    await live.is("Offline")
    await live.says(/^There is no connection to the relay \(.+\)\. What you set is kept here/)
    await live.setNew("offline", "1")
    await page.locator(".row.waiting").getByText("offline").waitFor()
    await page.locator("#here-count").getByText("–").waitFor()
    // What was set is not lost by leaving, and the browser asks before it closes the page.
    await page.goto(`${SITE}#/elsewhere`)
    await live.says("Nothing here yet.")
    await page.goto(`${SITE}#/fruits`)
    await live.is("Offline")
    await live.setNew("offline too", "2")
    const asked = page.waitForEvent("dialog")
    const reload = page.reload().catch(() => {})
    const dialog = await asked
    assert.equal(dialog.type(), "beforeunload")
    await dialog.dismiss()
    await ask("start")
    await page.getByRole("button", { name: "Try now" }).click({ timeout: 5000 }).catch(() => {})
    await live.is("Live")
    await page.locator("#trouble").waitFor({ state: "hidden" })
    await peerHas("offline", 1)
    await peerHas("offline too", 2)
    await live.shows("offline", "1")
    await reload
    await page.locator(".row.waiting").waitFor({ state: "detached" })
  })
})
