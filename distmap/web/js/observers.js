// The handlers of a map's events, and what they are told when it changes.

/** @import { Update } from "./lww.js" */
import { changeOf, valueOf } from "./changes.js"
import { Emitter } from "./events.js"
import { decode } from "./values.js"

/**
 * The handlers of one map. Where nobody listens nothing is made for them.
 *
 * A list of changes is told before its changes are told one by one: a handler of one of them may
 * write, and that is a later list.
 */
export class Observers extends Emitter {
  constructor() {
    super(
      ...["set", "delete", "ready", "status", "peers", "superseded", "persisted"],
      ...["change", "changes"],
    )
  }

  /**
   * This peer wrote these, in one step.
   *
   * @param {Update[]} updates
   */
  tellOwn(updates) {
    this.#tellList(updates, true)
    if (!this.has("change")) return
    for (const update of updates) this.emit("change", changeOf(update, true))
  }

  /**
   * Other peers' entries took their place, in one step.
   *
   * @param {Update[]} updates
   * @param {unknown} map is handed to the handlers
   */
  tellOthers(updates, map) {
    const [tellsChange, tellsSet, tellsDelete] = [
      this.has("change"),
      this.has("set"),
      this.has("delete"),
    ]
    if (!tellsChange && !tellsSet && !tellsDelete && !this.has("changes")) return
    const changes = updates.filter(isChange)
    this.#tellList(changes, false)
    for (const update of changes) {
      const { key, entry } = update
      if (tellsChange) this.emit("change", changeOf(update, false))
      if (entry.value === null) {
        if (tellsDelete) this.emit("delete", valueOf(update.old), key, map)
      } else if (tellsSet) {
        this.emit("set", decode(entry.value), key, map)
      }
    }
  }

  /**
   * @param {Update[]} updates
   * @param {boolean} local
   */
  #tellList(updates, local) {
    if (updates.length === 0 || !this.has("changes")) return
    this.emit(
      "changes",
      updates.map((update) => changeOf(update, local)),
    )
  }
}

/**
 * Whether there is or was a value: a tombstone of a key that was not there changes nothing.
 *
 * @param {Update} update
 */
function isChange({ entry, old }) {
  return entry.value !== null || (old !== undefined && old.value !== null)
}
