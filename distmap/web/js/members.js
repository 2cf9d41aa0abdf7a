// What rides on a connection, and what it is waited for at the end.

/** @import { Member } from "./attempts.js" */

export class Members {
  /** @type {Set<Member>} */
  #members = new Set()
  /** @type {Set<Promise<void>>} of those that leave */
  #leaving = new Set()

  /** @param {Member} member */
  add(member) {
    this.#members.add(member)
  }

  /** @param {Member} member */
  remove(member) {
    this.#members.delete(member)
  }

  get all() {
    return [...this.#members]
  }

  /** @param {(member: Member) => void} tell */
  tell(tell) {
    // A handler may close one meanwhile.
    for (const member of this.all) if (this.#members.has(member)) tell(member)
  }

  /** @param {Promise<void>} leaving fulfilled when nothing is left of a member */
  waitFor(leaving) {
    const left = leaving.finally(() => void this.#leaving.delete(left))
    this.#leaving.add(left)
  }

  /** Fulfilled when nothing is left of those that leave. */
  async gone() {
    await Promise.all(this.#leaving)
  }
}
