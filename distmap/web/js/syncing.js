// The streams on which two peers sync: conversations of sync.js over the relay.

/** @import { Party } from "./conversation.js" */
/** @import { Session } from "./session.js" */
import { Conversation } from "./conversation.js"
import { Donor } from "./sync.js"
import { isPush } from "./sync_wire.js"

/** This peer as the newcomer. */
export class Syncing extends Conversation {
  #newcomer
  #started = false

  /**
   * @param {Party} party its map
   * @param {Session} session the connection
   * @param {string} donor the member to sync with
   * @param {string} client names this conversation
   */
  constructor(party, session, donor, client) {
    super(party, session, `${party.uri}/proxy/client/${donor}/${client}`)
    this.donor = donor
    this.#newcomer = party.newConversation()
  }

  /** @override */
  get needsSums() {
    return !this.#newcomer.blank
  }

  /** @override */
  get waits() {
    return this.#newcomer.waits
  }

  /** @override */
  step() {
    if (!this.#started) {
      this.#started = true
      this.send(this.#newcomer.start())
    }
    if (this.#newcomer.waits) {
      this.send(this.#newcomer.goOn())
    } else if (this.inbox.length) {
      const [messages, updates] = this.#newcomer.receive(this.inbox.shift())
      this.party.merged(updates)
      this.send(messages)
    }
    if (this.#newcomer.done) {
      this.stop()
      this.party.syncDone(this)
    }
  }

  /**
   * What it asks can be long, and the answers still make no headway.
   *
   * @override
   * @param {string} message
   */
  counts(message) {
    return isPush(message)
  }

  /** See Newcomer. */
  get repaired() {
    return this.#newcomer.repaired
  }

  /**
   * @override
   * @param {string} reason
   */
  fail(reason) {
    this.stop()
    this.party.syncFailed(this, reason)
  }
}

/** This peer as the donor. */
export class Serving extends Conversation {
  #donor

  /**
   * @param {Party} party its map
   * @param {Session} session the connection
   * @param {string} member this peer's name on the channel
   * @param {string} client the conversation that the relay announced
   * @param {boolean} [reader] the newcomer may only read
   */
  constructor(party, session, member, client, reader = false) {
    super(party, session, servingRoute(party, member, client))
    this.#donor = new Donor(party.replica, reader)
  }

  /** @override */
  step() {
    if (!this.inbox.length) return
    const [messages, updates] = this.#donor.receive(this.inbox.shift())
    // Before the answer: the newcomer then knows that nothing it brought can be lost with us.
    this.party.learned(updates)
    this.party.told(this.#donor.news)
    this.send(messages)
  }

  /**
   * @override
   * @param {string} _reason
   */
  fail(_reason) {
    this.stop()
    this.party.servingEnded(this)
  }
}

/** This peer as a donor that serves as many as it can already. */
export class Refusing extends Conversation {
  /**
   * @param {Party} party its map
   * @param {Session} session the connection
   * @param {string} member this peer's name on the channel
   * @param {string} client the conversation that the relay announced
   */
  constructor(party, session, member, client) {
    super(party, session, servingRoute(party, member, client))
  }

  /** @override */
  step() {
    this.refuse("this donor serves enough newcomers", "busy")
  }

  /**
   * @override
   * @param {string} _reason
   */
  fail(_reason) {
    this.stop()
    this.party.servingEnded(this)
  }
}

/**
 * @param {Party} party
 * @param {string} member
 * @param {string} client
 */
function servingRoute({ uri }, member, client) {
  return `${uri}/proxy/server/${member}/client/${client}/${client}`
}
