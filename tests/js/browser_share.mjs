// Two tabs and a peer of Python share a map: hostile keys and values, the relay's end and return,
// and who is the donor of whom.

import assert from "node:assert/strict"

import { CONNECTION_FAILED, ask, contentOf, inChromium, openMap, openTab, run, until } from "./chromium.mjs"

const HTML = "<img src=x onerror=\"console.error('it runs')\"><script>boom()</script>"
const HOSTILE = ["__proto__", "constructor", "toString", "then", HTML, "🍎\u2028\0"]

await inChromium(async (context, problems) => {
  const pages = [await openTab(context), await openTab(context)]
  for (const page of pages) {
    await openMap(page, "/shared")
    await page.evaluate("map.ready()")
  }
  const [one, two] = pages
  assert.equal(await one.evaluate("map.synced"), "peer") // Python's

  /** @param {unknown} wanted */
  const assertShared = async (wanted) => {
    assert.deepEqual(await contentOf(one), wanted)
    assert.deepEqual(await contentOf(two), wanted)
    assert.deepEqual(await ask("dump"), wanted)
  }
  const value = { ["__proto__"]: { polluted: HTML }, constructor: [HTML, null], "": HTML }
  for (const key of HOSTILE) {
    await run(one, "(key, value) => map.set(key, value)", key, value)
  }
  await until(two, `map.size === ${HOSTILE.length + 1} && map.peers === 2`)
  const wanted = [...HOSTILE.map((key) => [key, value]), ["apple", 3]]
  await assertShared(wanted.sort(([a], [b]) => (a < b ? -1 : 1)))
  for (const page of pages) {
    assert.deepEqual(await page.evaluate("[{}.polluted, typeof {}.constructor]"), [
      undefined,
      "function",
    ])
    assert.equal(await page.evaluate("document.images.length + document.scripts.length"), 0)
  }
  for (const key of HOSTILE) await run(two, "(key) => map.delete(key)", key)
  await until(one, "map.size === 1")
  await assertShared([["apple", 3]])
  const deleted = HOSTILE.map((key) => ["delete", key, value])
  assert.deepEqual((await run(one, "() => heard")).slice(-HOSTILE.length), deleted)
  problems.assertNone()

  // All write while there is no relay.
  problems.allowed.push(CONNECTION_FAILED)
  await ask("stop relay")
  await until(one, "map.status === 'offline'")
  await one.evaluate("void map.set('one', 1)")
  await two.evaluate("void map.delete('apple')")
  await ask("set", "python", "P")
  await ask("start relay")
  await until(one, "map.status === 'ready' && map.size === 2 && !map.has('apple')")
  await until(two, "map.status === 'ready' && map.size === 2 && map.has('python')")
  await assertShared([["one", 1], ["python", "P"]])

  // One tab loses its network, and the others go on.
  const away = await context.browser()?.newContext()
  assert.ok(away)
  await away.grantPermissions(["local-network-access"])
  const third = await openTab(away)
  await openMap(third, "/shared")
  await third.evaluate("map.ready()")
  await away.setOffline(true)
  await third.evaluate("map.connection.wake()")
  await until(third, "map.status === 'offline'")
  await third.evaluate("void map.set('third', 3)")
  await one.evaluate("map.set('one', 2)")
  await away.setOffline(false)
  await until(third, "map.status === 'ready' && map.get('one') === 2")
  await until(one, "map.get('third') === 3")
  await away.close()

  // A tab is the donor of a peer of Python that comes when there are only tabs.
  await one.evaluate("Promise.all(Array.from({ length: 3000 }, (_, n) => map.set(`k${n}`, n)))")
  await until(two, "map.size === 3003")
  assert.deepEqual(await ask("leave and come back"), ["peer", 3003])
  await two.close()
  await one.reload()
  await openMap(one, "/shared")
  assert.equal(await one.evaluate("map.ready().then((map) => map.synced)"), "peer")
  assert.equal(await one.evaluate("map.size"), 3003)
  assert.deepEqual(await one.evaluate("[map.refused, map.divergences]"), [0, 0])
  await one.evaluate("map.connection.close()")
})
