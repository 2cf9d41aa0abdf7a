// One replica of each system with its own client, all with the same few methods:
//   ready            a promise: it is connected and synced
//   set, setAll      one value; some, in one transaction if the system has such a thing
//   size()           how many keys it has
//   onSet(f)         f(value) for each value that another peer has set
//   onNews(f)        f() when something may have come
//   buffered()       bytes that wait for the socket
//   drained()        if need be: waits until the server has all
// Each imports its own client only, so that its memory is its own.
import WebSocket from "ws"

const NAME = "bench"
// TinyBase waits for an answer only so long, and asks no second time; its default of 1 s is too short
// for a large map. The first peer waits as long in vain, so that only a newcomer to others is patient.
const PATIENT_SECONDS = 30

/** What Yjs and Hocuspocus share: the document. */
function document(doc, ready, buffered) {
  const map = doc.getMap(NAME)
  return {
    ready,
    buffered,
    set: (key, value) => map.set(key, value),
    setAll: (entries) => {
      doc.transact(() => {
        for (const [key, value] of entries) map.set(key, value)
      })
    },
    size: () => map.size,
    onSet: (handler) => {
      map.observe((event) => {
        if (event.transaction.local) return
        for (const key of event.keysChanged) handler(map.get(key))
      })
    },
    onNews: (handler) => doc.on("update", handler),
    // The server says nothing when it has taken an update.
    drained: () => new Promise((resolve) => setTimeout(resolve, 1000)),
  }
}

const systems = {
  /** No map: what is set is sent, and what comes is told. */
  async ws() {
    return (url) => {
      const socket = new WebSocket(url, { perMessageDeflate: false })
      return {
        ready: new Promise((resolve) => socket.once("open", resolve)),
        set: (key, value) => socket.send(JSON.stringify({ key, value })),
        onSet: (handler) => socket.on("message", (data) => handler(JSON.parse(data).value)),
        buffered: () => socket.bufferedAmount,
      }
    }
  },

  async distmap() {
    const { DistributedMap, connect } = await import("../../distmap/web/distmap.js")
    return (url) => {
      const map = new DistributedMap(connect(url, { WebSocket }), `/${NAME}`)
      let untaken = 0
      const set = (key, value) => {
        untaken += 1
        map.set(key, value).then(() => {
          untaken -= 1
        })
      }
      return {
        ready: map.ready(),
        set,
        setAll: (entries) => {
          for (const [key, value] of entries) set(key, value)
        },
        size: () => map.size,
        onSet: (handler) => map.on("set", handler),
        onNews: (handler) => map.on("ready", handler),
        buffered: () => untaken * 200, // about what an entry takes
        // The sums, too, as the first digest would have brought them up to date.
        drained: async () => void map.digest(),
      }
    }
  },

  async yjs() {
    const [Y, { WebsocketProvider }] = await Promise.all([import("yjs"), import("y-websocket")])
    return (url) => {
      const doc = new Y.Doc()
      const provider = new WebsocketProvider(url, NAME, doc, {
        WebSocketPolyfill: WebSocket,
        disableBc: true,
      })
      const ready = new Promise((resolve) => provider.once("sync", resolve))
      return document(doc, ready, () => provider.ws?.bufferedAmount ?? 0)
    }
  },

  async hocuspocus() {
    const [Y, { HocuspocusProvider, HocuspocusProviderWebsocket }] = await Promise.all([
      import("yjs"),
      import("@hocuspocus/provider"),
    ])
    return (url) => {
      const doc = new Y.Doc()
      const socket = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: WebSocket })
      const provider = new HocuspocusProvider({
        websocketProvider: socket,
        name: NAME,
        document: doc,
      })
      const ready = new Promise((resolve) => provider.on("synced", resolve))
      provider.attach()
      return document(doc, ready, () => socket.webSocket?.bufferedAmount ?? 0)
    }
  },

  async tinybase() {
    const { createMergeableStore } = await import("tinybase/mergeable-store")
    const { createWsSynchronizer } = await import(
      "tinybase/synchronizers/synchronizer-ws-client"
    )
    return (url, patient) => {
      const store = createMergeableStore()
      const socket = new WebSocket(`${url}/${NAME}`, { perMessageDeflate: false })
      let own = false
      const set = (key, value) => {
        own = true
        store.setValue(key, value)
        own = false
      }
      return {
        ready: createWsSynchronizer(store, socket, patient ? PATIENT_SECONDS : undefined).then(
          (synchronizer) => synchronizer.startSync(),
        ),
        set,
        setAll: (entries) => {
          store.transaction(() => {
            for (const [key, value] of entries) store.setValue(key, value)
          })
        },
        size: () => store.getValueIds().length,
        onSet: (handler) => {
          store.addValueListener(null, (_store, _key, value) => {
            if (!own) handler(value)
          })
        },
        onNews: (handler) => store.addDidFinishTransactionListener(handler),
        buffered: () => socket.bufferedAmount,
      }
    }
  },
}

/** Loads a system; returns what opens a replica at a URL. */
export const load = (system) => systems[system]()
