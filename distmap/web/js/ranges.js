// Sums of entry hashes over ranges of the key hash: what two replicas compare to find where they
// differ.
//
// A tree with a fan-out of 16 over the hexadecimal digits of positionText(), which splits where
// many keys are. Each node knows how many entries are below it and the sum of their hashes modulo
// 2**52. After Meyer, "Range-Based Set Reconciliation" (2023), with fixed instead of free ranges:
// the boundaries are then the same everywhere, and the sums are kept up incrementally.

import { HASH_BITS, HASH_DIGITS, positionText } from "./entries.js"

export const FAN_OUT = 16
/** A range of more keys than this is split. */
export const LEAF_KEYS = 64
export const DIGITS = "0123456789abcdef"

const MODULUS = 2 ** HASH_BITS

/** @typedef {[count: number, sum: number]} Summary */

/**
 * Whether two summaries are the same.
 *
 * @param {Summary} a
 * @param {Summary} b
 */
export function isEqual(a, b) {
  return a[0] === b[0] && a[1] === b[1]
}

/**
 * A key in the tree.
 *
 * @typedef {object} Item
 * @property {string} key
 * @property {string} path its position
 * @property {number} hash of its entry
 */

class Node {
  count = 0
  sum = 0
  /** @type {Map<string, Item> | null} in a leaf */
  items = new Map()
  /** @type {Node[] | null} in an inner node */
  children = null

  /**
   * @param {string} digit
   * @returns {Node}
   */
  child(digit) {
    return /** @type {Node[]} */ (this.children)[parseInt(digit, 16)]
  }

  /**
   * @param {number} count
   * @param {number} hash within ±2**52, so that the sum of two is exact
   */
  add(count, hash) {
    this.count += count
    const sum = this.sum + hash
    this.sum = sum < 0 ? sum + MODULUS : sum % MODULUS
  }

  /**
   * The items of a leaf that are in a range.
   *
   * @param {string} prefix
   */
  within(prefix) {
    const items = this.items === null ? [] : [...this.items.values()]
    return items.filter((item) => item.path.startsWith(prefix))
  }

  /** @param {number} depth */
  split(depth) {
    this.children = Array.from({ length: FAN_OUT }, () => new Node())
    for (const item of this.within("")) {
      const child = this.child(item.path[depth])
      child.items?.set(item.key, item)
      child.add(1, item.hash)
    }
    this.items = null
  }
}

/** The sums of one replica. */
export class RangeTree {
  #root = new Node()

  /**
   * Adds a key, or notes that its entry has changed.
   *
   * @param {string} key
   * @param {number} hash of its entry
   */
  put(key, hash) {
    const path = positionText(key)
    const trail = this.#trail(path)
    const leaf = trail[trail.length - 1]
    const items = /** @type {Map<string, Item>} */ (leaf.items)
    const old = items.get(key)
    items.set(key, { key, path, hash })
    for (const node of trail) node.add(old ? 0 : 1, hash - (old?.hash ?? 0))
    const depth = trail.length - 1
    if (items.size > LEAF_KEYS && depth < HASH_DIGITS) leaf.split(depth)
  }

  /**
   * Takes a key out, if it is there.
   *
   * @param {string} key
   */
  discard(key) {
    const trail = this.#trail(positionText(key))
    const items = /** @type {Map<string, Item>} */ (trail[trail.length - 1].items)
    const old = items.get(key)
    if (old === undefined) return
    items.delete(key)
    for (const node of trail) node.add(-1, -old.hash)
  }

  /**
   * The count and sum of the entries whose position begins with a prefix.
   *
   * @param {string} [prefix]
   * @returns {Summary}
   */
  summary(prefix = "") {
    const [node, rest] = this.#find(prefix)
    if (rest === "") return [node.count, node.sum]
    const chosen = new Node()
    for (const item of node.within(prefix)) chosen.add(1, item.hash)
    return [chosen.count, chosen.sum]
  }

  /**
   * The summaries of the 16 ranges that a range divides into.
   *
   * @param {string} prefix
   * @returns {Summary[]}
   */
  children(prefix) {
    const [node] = this.#find(prefix)
    let parts = node.children
    if (parts === null) {
      parts = Array.from({ length: FAN_OUT }, () => new Node())
      for (const item of node.within(prefix)) {
        parts[parseInt(item.path[prefix.length], 16)].add(1, item.hash)
      }
    }
    return parts.map(({ count, sum }) => [count, sum])
  }

  /**
   * The keys of a range, in no particular order.
   *
   * @param {string} prefix
   * @returns {string[]}
   */
  keys(prefix) {
    const found = []
    const stack = [this.#find(prefix)[0]]
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      for (const item of node.within(prefix)) found.push(item.key)
      stack.push(...(node.children ?? []))
    }
    return found
  }

  /**
   * The keys of a range from a position on, in the order of positions. The tree must not be changed
   * meanwhile.
   *
   * @param {string} prefix the range
   * @param {string} [start] hexadecimal digits; positions before them are left out
   * @returns {Generator<Item, void>}
   */
  *items(prefix, start = "") {
    /** @type {[Node, string][]} */
    const stack = [[this.#find(prefix)[0], prefix]]
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const [node, path] = top
      if (path.padEnd(HASH_DIGITS, "f") < start) continue
      if (node.children !== null) {
        for (let digit = FAN_OUT - 1; digit >= 0; digit--) {
          const child = node.children[digit]
          if (child.count) stack.push([child, path + DIGITS[digit]])
        }
      } else {
        const found = node.within(prefix).filter((item) => item.path >= start)
        yield* found.sort(byPosition)
      }
    }
  }

  /**
   * The nodes from the root to the leaf of a position.
   *
   * @param {string} path
   */
  #trail(path) {
    let node = this.#root
    const trail = [node]
    while (node.children !== null) {
      node = node.child(path[trail.length - 1])
      trail.push(node)
    }
    return trail
  }

  /**
   * The node of a range, or the leaf that it is a part of and what is left of the prefix.
   *
   * @param {string} prefix
   * @returns {[node: Node, rest: string]}
   */
  #find(prefix) {
    let node = this.#root
    for (let depth = 0; depth < prefix.length; depth++) {
      if (node.children === null) return [node, prefix.slice(depth)]
      node = node.child(prefix[depth])
    }
    return [node, ""]
  }
}

/**
 * @param {Item} a
 * @param {Item} b
 */
function byPosition(a, b) {
  if (a.path !== b.path) return a.path < b.path ? -1 : 1
  return a.key < b.key ? -1 : 1
}
