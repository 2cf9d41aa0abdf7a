// Takes the pictures in docs/screenshots: the relay's page with a map that several peers write to.
//
//   node docs/_generate/screenshots.mjs
//
// It needs what the tests in Chromium need, and Python with distmap: .venv/bin/python, or the one
// that PYTHON names. The letters are those of the fonts that the machine has.

import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { fileURLToPath } from "node:url"
import { launch } from "../../tests/js/chromium.mjs"
import { DistributedMap, connect } from "../../distmap/web/distmap.js"
import { createRequire } from "node:module"

const root = fileURLToPath(new URL("../../", import.meta.url))
const folder = fileURLToPath(new URL("../screenshots/", import.meta.url))
const WebSocket = createRequire(new URL("../../tests/js/", import.meta.url))("ws")
const python = process.env.PYTHON ?? `${root}.venv/bin/python`
const TWISTD = "from twisted.scripts.twistd import run; run()"

const WIDE = { width: 1180, height: 720 }
const PHONE = { width: 390, height: 780 }
const URI = "/harbour"
const SHIPS = ["Aurora", "Borealis", "Cassiopeia", "Dorado"]

/** A port that nobody listens on. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address())
  server.close()
  return port
}

/** @param {number} port */
async function startRelay(port) {
  const options = ["-n", "--pidfile=", "distmap", "--port", String(port)]
  const env = { ...process.env, PYTHONPATH: root, PYTHONUNBUFFERED: "1" }
  const relay = spawn(python, ["-c", TWISTD, ...options], { env, cwd: root })
  for await (const data of relay.stdout) if (String(data).includes("listening on")) break
  return relay
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Peers that have written what a harbour may know.
 *
 * @param {string} url
 */
async function openPeers(url) {
  const peers = Array.from({ length: 4 }, () => {
    const connection = connect(url, { WebSocket })
    return new DistributedMap(connection, URI)
  })
  await Promise.all(peers.map((peer) => peer.ready()))
  const [tower, cranes, weather, office] = peers
  SHIPS.forEach((ship, at) => {
    tower.set(`berth/${at + 1}`, { ship, metres: 82 + 17 * at, fast: at !== 1 })
  })
  for (let n = 1; n <= 3; n++) cranes.set(`crane/${n}/load_kg`, [0, 12_400, 8_150][n - 1])
  cranes.set("crane/3/state", "waiting for berth/2")
  weather.set("weather/wind_knots", 14.5)
  weather.set("weather/gusts", [17, 19.5, 22, 18])
  weather.set("weather/visibility", "good")
  office.set("gate/north", { open: true, until: "22:00" })
  office.set("gate/south", { open: false })
  office.set("notice", "Pilot boats keep to channel 12 after sunset.")
  office.set("shift", { lead: "Ingrid Vale", crew: 14, ends: "18:00" })
  office.set("tide/next_high", "16:42")
  office.set("tide/level_m", 2.31)
  return { tower, cranes, weather, office }
}

const port = await freePort()
const relay = await startRelay(port)
const browser = await launch()
try {
  const url = `ws://127.0.0.1:${port}/`
  const { cranes, weather } = await openPeers(url)
  await pause(4000) // so that not all is of now
  weather.set("weather/wind_knots", 15)
  await pause(3000)

  /**
   * @param {string} name
   * @param {import("playwright-core").BrowserContextOptions} options
   * @param {(page: import("playwright-core").Page) => Promise<void>} [prepare]
   */
  const take = async (name, options, prepare) => {
    const always = { locale: "en-GB", deviceScaleFactor: 1.5 }
    const context = await browser.newContext({ ...always, ...options })
    const page = await context.newPage()
    await page.goto(`http://127.0.0.1:${port}/#${URI}`)
    await page.getByText("Live", { exact: true }).waitFor()
    await page.locator(".row").first().waitFor()
    await prepare?.(page)
    cranes.set("crane/2/load_kg", 12_000 + Math.floor(performance.now() % 5000))
    weather.set("weather/wind_knots", 14 + (Math.floor(performance.now()) % 5))
    await page.locator(".changed").first().waitFor()
    await pause(150)
    await page.screenshot({ path: `${folder}${name}.png` })
    await context.close()
  }

  await take("light", { viewport: WIDE, colorScheme: "light" }, async (page) => {
    await page.locator(".row", { hasText: "shift" }).click()
  })
  await take("dark", { viewport: WIDE, colorScheme: "dark" }, async (page) => {
    await page.locator("#here summary").click()
  })
  const phone = { viewport: PHONE, hasTouch: true, isMobile: true }
  await take("phone", { ...phone, colorScheme: "light" })
} finally {
  await browser.close()
  relay.kill()
}
process.exit()
