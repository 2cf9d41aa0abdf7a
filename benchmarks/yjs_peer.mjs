// A peer of y-websocket for benchmarks/join.py: "donor URL COUNT" or "newcomer URL COUNT"; its
// output is that of join_peer.py. Run in the folder where yjs, y-websocket and ws are installed.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const require = createRequire(join(process.cwd(), 'x.js'))
const load = async (name) => import(pathToFileURL(require.resolve(name)).href)
const Y = (await load('yjs')).default ?? await load('yjs')
const { WebsocketProvider } = await load('y-websocket')
const WebSocket = require('ws')

const [role, url, countText] = process.argv.slice(2)
const count = Number(countText)
const began = performance.now()
const doc = new Y.Doc()
const map = doc.getMap('join')
const provider = new WebsocketProvider(url, 'join', doc, {
  WebSocketPolyfill: WebSocket, disableBc: true
})
const end = () => {
  console.log(Math.round(process.resourceUsage().maxRSS / 1024))
  process.exit()
}

if (role === 'donor') {
  const fill = (start) => {
    const stop = Math.min(start + 2000, count)
    doc.transact(() => {
      for (let at = start; at < stop; at++) map.set(`key-${at}`, 'x'.repeat(58))
    })
    const wait = () => {
      if (provider.ws.bufferedAmount > 0) setTimeout(wait, 5)
      else if (stop < count) fill(stop)
      else setTimeout(() => console.log('ready'), 1000)
    }
    setTimeout(wait, 0)
  }
  provider.once('sync', () => fill(0))
  process.stdin.resume()
  process.stdin.on('end', end)
} else {
  const look = () => {
    if (map.size < count) return
    console.log(((performance.now() - began) / 1000).toFixed(4))
    end()
  }
  doc.on('update', look)
}
