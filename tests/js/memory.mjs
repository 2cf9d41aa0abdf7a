// A relay and its peers in memory: what docs/protocol.md says of a relay, as short as it goes.

/** @import { Attempt, Connector } from "../../distmap/web/js/attempts.js" */
/** @import { Source } from "../../distmap/web/js/fetching.js" */
/** @import { MuxStream } from "../../distmap/web/js/states.js" */
import { openConnection } from "../../distmap/web/js/credentials.js"
import { ConnectionLost } from "../../distmap/web/js/errors.js"
import { DistributedMap } from "../../distmap/web/js/map.js"
import { MuxDemux } from "../../distmap/web/js/mux.js"
import { Kind, State } from "../../distmap/web/js/states.js"
import { Clock, seeded, settle } from "./support.mjs"

const OPEN = "[stream-server]:open"

/** One connection, as the relay sees it. */
class Link {
  mux = new MuxDemux(undefined, "relay")
  /** @type {string[]} the messages that came */
  received = []
  /** @type {unknown[]} the credentials that came */
  shown = []
  /** @type {MuxStream | null} they came on */
  credentials = null
  /** It takes nothing, and says nothing. */
  silent = false
  isOpen = true

  /**
   * @param {Relay} relay
   * @param {Attempt} attempt
   */
  constructor(relay, attempt) {
    this.relay = relay
    this.attempt = attempt
  }

  /** @param {string} message */
  send(message) {
    if (!this.isOpen) return
    this.received.push(message)
    if (this.silent) return
    for (const [kind, stream, detail] of this.mux.receive(message)) {
      if (stream !== null) this.relay.handle(this, kind, stream, detail)
    }
  }

  /** @param {number} code */
  close(code) {
    if (!this.silent) setImmediate(() => this.drop(new ConnectionLost(`closed with ${code}`)))
  }

  /** @param {Error} [problem] */
  drop(problem = new ConnectionLost("the network is down")) {
    if (!this.isOpen) return
    this.isOpen = false
    for (const stream of this.mux.streams.values()) this.relay.gone(stream)
    this.mux.disconnect()
    this.relay.links.delete(this)
    this.attempt.attemptFailed(problem)
  }

  flush() {
    const message = this.mux.take().join("")
    if (message && this.isOpen && !this.silent) this.attempt.attemptReceived(message)
  }
}

/** @typedef {{ id: string, uri: string, link: Link, stream: MuxStream, count: number, isReader: boolean }} Member */

class Relay {
  /** @type {Set<Link>} */
  links = new Set()
  /** @type {Map<MuxStream, Member>} */
  members = new Map()
  /** @type {Set<Member>} */
  ready = new Set()
  /** @type {Map<string, { link: Link, stream: MuxStream }>} clients that wait, by their name */
  waiting = new Map()
  /** @type {Map<MuxStream, { link: Link, stream: MuxStream }>} the other end */
  joined = new Map()
  #names = 0

  /** @param {Clock} clock */
  constructor(clock) {
    this.clock = clock
  }

  /**
   * @param {Link} link
   * @param {string} kind
   * @param {MuxStream} stream
   * @param {any} detail
   */
  handle(link, kind, stream, detail) {
    const member = this.members.get(stream)
    const other = this.joined.get(stream)
    if (kind === Kind.OPENED) this.#opened(link, stream, detail)
    else if (kind === Kind.CLOSED) this.gone(stream)
    else if (stream === link.credentials) this.#judge(link, stream, detail)
    else if (kind === Kind.DATA && other !== undefined) {
      if (other.stream.state !== State.CLOSED)
        other.link.mux.send(other.stream, JSON.stringify(detail))
    } else if (kind === Kind.DATA && member !== undefined) this.#receive(member, detail)
  }

  /**
   * @param {Link} link
   * @param {MuxStream} stream
   * @param {unknown} shown
   */
  #judge(link, stream, shown) {
    link.shown.push(shown)
    for (const member of [...this.members.values()].filter((each) => each.link === link)) {
      if (!isRefused(link) && isReader(link) === member.isReader) continue
      this.gone(member.stream)
      const why = isRefused(link) ? "refused" : "changed"
      link.mux.error(member.stream, "you may do less, or more", why)
    }
    if (shown !== "think") link.mux.send(stream, JSON.stringify(["judged"]))
  }

  /**
   * @param {Link} link
   * @param {MuxStream} stream
   * @param {any} meta
   */
  #opened(link, stream, meta) {
    const route = meta.route ?? meta
    if (route === "credentials") return void (link.credentials = stream)
    if (isRefused(link)) return void link.mux.error(stream, "you may not do this", "refused")
    const [, client] = /\/proxy\/client\/[^/]+\/([^/]+)$/.exec(route) ?? []
    const [, donor] = /\/proxy\/client\/([^/]+)\/[^/]+$/.exec(route) ?? []
    const [, taken] = /\/proxy\/server\/[^/]+\/client\/([^/]+)\/[^/]+$/.exec(route) ?? []
    if (taken !== undefined) {
      const waiting = this.waiting.get(taken)
      if (waiting === undefined) return void link.mux.error(stream, "no such client", "500")
      this.waiting.delete(taken)
      this.joined.set(stream, waiting).set(waiting.stream, { link, stream })
      link.mux.send(stream, JSON.stringify(OPEN))
      waiting.link.mux.send(waiting.stream, JSON.stringify(OPEN))
    } else if (client !== undefined) {
      this.waiting.set(client, { link, stream })
      const member = [...this.members.values()].find((each) => each.id === donor)
      if (member !== undefined) this.#tell(member, [isReader(link) ? "reader" : "client", client])
    } else {
      const uri = route.replace(/\/channel$/, "")
      const member = { id: String(++this.#names), uri, link, stream, count: 0, isReader: isReader(link) }
      this.members.set(stream, member)
      const members = this.#of(uri)
      const access = isReader(link) ? "read" : undefined
      const details = { version: [1, 0], peer: member.id, time_ms: this.clock.nowMs(), access }
      this.#tell(member, ["welcome", { ...details, members: members.length }])
      for (const each of members) this.#tell(each, ["members", members.length, [member.id], []])
      this.#findDonor(member, null)
    }
  }

  /**
   * @param {Member} member
   * @param {any} payload
   */
  #receive(member, payload) {
    if (Array.isArray(payload)) {
      if (payload[0] === "ready") {
        if (!isReader(member.link)) this.ready.add(member)
      }
      else if (payload[0] === "sync") this.#findDonor(member, payload[1])
      else if (payload[0] === "time") this.#tell(member, ["time", payload[1], this.clock.nowMs()])
      return
    }
    if (isReader(member.link)) return this.#tell(member, ["refused", ++member.count])
    for (const each of this.#of(member.uri)) {
      if (each !== member) this.#tell(each, payload)
    }
    this.#tell(member, ["ack", ++member.count, this.clock.nowMs()])
  }

  /**
   * @param {Member} member
   * @param {string | null} failed
   */
  #findDonor(member, failed) {
    const ready = this.#of(member.uri).filter((each) => this.ready.has(each) && each !== member)
    const donor = ready.find((each) => each.id !== failed)
    this.#tell(member, donor === undefined ? ["alone"] : ["donor", donor.id])
    if (donor === undefined && !isReader(member.link)) this.ready.add(member)
  }

  /** @param {string} uri */
  #of(uri) {
    return [...this.members.values()].filter((member) => member.uri === uri)
  }

  /**
   * @param {Member} member
   * @param {unknown} payload
   */
  #tell({ link, stream }, payload) {
    if (stream.state !== State.CLOSED) link.mux.send(stream, JSON.stringify(payload))
  }

  /** @param {MuxStream} stream */
  gone(stream) {
    const member = this.members.get(stream)
    if (member !== undefined) {
      this.members.delete(stream)
      this.ready.delete(member)
      const members = this.#of(member.uri)
      for (const each of members) this.#tell(each, ["members", members.length, [], [member.id]])
    }
    const other = this.joined.get(stream)
    if (other !== undefined) {
      this.joined.delete(other.stream)
      this.joined.delete(stream)
      other.link.mux.close(other.stream)
    }
  }
}

/**
 * Who shows "read" may only read.
 *
 * @param {Link} link
 */
function isReader(link) {
  return link.shown.at(-1) === "read"
}

/**
 * Who shows "wrong" may do nothing.
 *
 * @param {Link} link
 */
function isRefused(link) {
  return link.shown.at(-1) === "wrong"
}

/** A relay, and connections to it. */
export class Network {
  clock = new Clock()
  relay = new Relay(this.clock)
  isUp = true
  random = seeded(1)

  /** @returns {Connector} */
  connector() {
    return {
      connect: (attempt) => {
        /** @type {Link | null} */
        let link = null
        let over = false
        const timer = this.clock.soon(() => {
          if (!this.isUp) {
            over = true
            attempt.attemptFailed(new ConnectionLost("nobody there"))
            return
          }
          link = new Link(this.relay, attempt)
          this.relay.links.add(link)
          attempt.attemptOpened(link)
        })
        return (problem) => {
          timer.cancel()
          if (link !== null) link.drop(problem)
          else if (!over) attempt.attemptFailed(problem)
          over = true
        }
      },
    }
  }

  /**
   * @param {{ retentionMs?: number }} [options]
   * @param {Source} [credentials]
   */
  connect(options, credentials) {
    return openConnection(this.connector(), this.clock, this.random, credentials, options)
  }

  /**
   * A map on a connection of its own.
   *
   * @param {string} [uri]
   * @param {{ retentionMs?: number }} [options]
   * @param {Source} [credentials]
   */
  open(uri = "/fruits", options = undefined, credentials = undefined) {
    return new DistributedMap(this.connect(options, credentials), uri)
  }

  /**
   * Lets time pass, and messages arrive.
   *
   * @param {number} [seconds]
   */
  async pass(seconds = 0) {
    const until = this.clock.nowMs() + 1000 * seconds
    do {
      await this.clock.advance(Math.min(0.1, (until - this.clock.nowMs()) / 1000))
      for (let round = 0; round < 200; round++) {
        for (const link of this.relay.links) link.flush()
        await settle()
        await this.clock.advance()
        if (![...this.relay.links].some((link) => link.mux.hasOutput)) break
      }
    } while (this.clock.nowMs() < until)
  }

  /** The newest connection, as the relay sees it. */
  get last() {
    return /** @type {Link} */ ([...this.relay.links].at(-1))
  }

  /** The relay dies: what it knew is gone with it. */
  stop() {
    this.isUp = false
    for (const link of [...this.relay.links]) link.drop()
    this.relay = new Relay(this.clock)
  }

  start() {
    this.isUp = true
  }
}
