// The servers of the rivals, each as its own documentation starts it, on loopback:
// node server.mjs SYSTEM PORT
const [system, portText] = process.argv.slice(2)
const port = Number(portText)
const host = "127.0.0.1"

const servers = {
  // The least that a WebSocket server can do for a shared map: each message to all others.
  async ws() {
    const { WebSocketServer } = await import("ws")
    const server = new WebSocketServer({ host, port, backlog: 4096, perMessageDeflate: false })
    server.on("connection", (client) => {
      client.on("error", () => {})
      client.on("message", (data, isBinary) => {
        for (const other of server.clients) {
          if (other !== client && other.readyState === 1) other.send(data, { binary: isBinary })
        }
      })
    })
  },

  async yjs() {
    const { WebSocketServer } = await import("ws")
    const { setupWSConnection } = await import("@y/websocket-server/utils")
    const server = new WebSocketServer({ host, port, perMessageDeflate: false })
    server.on("connection", setupWSConnection)
  },

  async hocuspocus() {
    const { Server } = await import("@hocuspocus/server")
    await new Server({ address: host, port, quiet: true, stopOnSignals: false }).listen()
  },

  async tinybase() {
    const { WebSocketServer } = await import("ws")
    const { createWsServer } = await import("tinybase/synchronizers/synchronizer-ws-server")
    createWsServer(new WebSocketServer({ host, port, perMessageDeflate: false }))
  },
}

process.on("uncaughtException", (error) => {
  console.error(error)
  process.exit(1)
})
process.stdin.on("end", () => process.exit()).resume()
await servers[system]()
