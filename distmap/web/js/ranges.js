// Sums of entry hashes over ranges of the key hash: what two replicas compare to find where they
// differ.
//
// A tree with a fan-out of 16 over the hexadecimal digits of position(), which splits where many
// keys are. Each node knows how many entries are below it and the sum of their hashes modulo
// 2**52. After Meyer, "Range-Based Set Reconciliation" (2023), with fixed instead of free ranges:
// the boundaries are then the same everywhere, and the sums are kept up incrementally.

import { HASH_BITS, HASH_DIGITS, position } from "./entries.js"

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
 * @property {number} place its position
 * @property {number} hash of its entry
 */

/**
 * A position as 13 hexadecimal digits.
 *
 * @param {number} place
 */
export function digitsOf(place) {
  return place.toString(16).padStart(HASH_DIGITS, "0")
}

/**
 * The first position that begins with some hexadecimal digits.
 *
 * @param {string} digits
 */
export function positionOf(digits) {
  return parseInt(digits.padEnd(HASH_DIGITS, "0"), 16)
}

/**
 * The position of a key as 13 hexadecimal digits.
 *
 * @param {string} key
 */
export function positionText(key) {
  return digitsOf(position(key))
}

/** How many positions begin with so many digits. */
const SIZES = Array.from({ length: HASH_DIGITS + 1 }, (_, digits) => FAN_OUT ** (HASH_DIGITS - digits))

class Node {
  count = 0
  sum = 0
  /** @type {Item[]} in a leaf; no more than LEAF_KEYS but at the greatest depth */
  items = []
  /** @type {Node[] | null} in an inner node */
  children = null

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
   * @param {number} least
   * @param {number} limit
   */
  within(least, limit) {
    return this.items.filter(({ place }) => place >= least && place < limit)
  }

  /** @param {number} depth */
  split(depth) {
    const children = Array.from({ length: FAN_OUT }, () => new Node())
    for (const item of this.items) {
      const child = children[digitAt(item.place, depth)]
      child.items.push(item)
      child.add(1, item.hash)
    }
    this.items = []
    this.children = children
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
    const place = position(key)
    const [leaf, depth] = this.#leaf(place)
    const { items } = leaf
    const at = find(items, place, key)
    if (at < 0) this.#add(place, 1, hash)
    else this.#add(place, 0, hash - items[at].hash)
    items[at < 0 ? items.length : at] = { key, place, hash }
    if (items.length > LEAF_KEYS && depth < HASH_DIGITS) leaf.split(depth)
  }

  /**
   * Takes a key out, if it is there.
   *
   * @param {string} key
   */
  discard(key) {
    const place = position(key)
    const { items } = this.#leaf(place)[0]
    const at = find(items, place, key)
    if (at < 0) return
    this.#add(place, -1, -items[at].hash)
    items[at] = items[items.length - 1]
    items.pop()
  }

  /**
   * The count and sum of the entries whose position begins with a prefix.
   *
   * @param {string} [prefix]
   * @returns {Summary}
   */
  summary(prefix = "") {
    const [node, isPart] = this.#find(prefix)
    if (!isPart) return [node.count, node.sum]
    const chosen = new Node()
    for (const item of node.within(...boundsOf(prefix))) chosen.add(1, item.hash)
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
      for (const { place, hash } of node.within(...boundsOf(prefix))) {
        parts[digitAt(place, prefix.length)].add(1, hash)
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
    const bounds = boundsOf(prefix)
    const stack = [this.#find(prefix)[0]]
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      for (const item of node.within(...bounds)) found.push(item.key)
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
    const [first, limit] = boundsOf(prefix)
    const least = Math.max(first, positionOf(start))
    /** @type {[node: Node, first: number, depth: number][]} */
    const stack = [[this.#find(prefix)[0], first, prefix.length]]
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const [node, from, depth] = top
      if (from + SIZES[depth] <= least) continue
      if (node.children !== null) {
        for (let digit = FAN_OUT - 1; digit >= 0; digit--) {
          const child = node.children[digit]
          if (child.count) stack.push([child, from + digit * SIZES[depth + 1], depth + 1])
        }
      } else {
        yield* node.within(least, limit).sort(byPosition)
      }
    }
  }

  /**
   * The leaf of a position, and its depth.
   *
   * @param {number} place
   * @returns {[leaf: Node, depth: number]}
   */
  #leaf(place) {
    let node = this.#root
    let depth = 0
    while (node.children !== null) node = node.children[digitAt(place, depth++)]
    return [node, depth]
  }

  /**
   * Adds to the sums from the root to the leaf of a position.
   *
   * @param {number} place
   * @param {number} count
   * @param {number} hash
   */
  #add(place, count, hash) {
    let node = this.#root
    node.add(count, hash)
    for (let depth = 0; node.children !== null; depth++) {
      node = node.children[digitAt(place, depth)]
      node.add(count, hash)
    }
  }

  /**
   * The node of a range, or the leaf that it is a part of.
   *
   * @param {string} prefix
   * @returns {[node: Node, isPart: boolean]}
   */
  #find(prefix) {
    let node = this.#root
    for (const digit of prefix) {
      if (node.children === null) return [node, true]
      node = node.children[parseInt(digit, 16)]
    }
    return [node, false]
  }
}

/**
 * Where a key is among the items of a leaf; -1 if it is not.
 *
 * @param {Item[]} items
 * @param {number} place
 * @param {string} key
 */
function find(items, place, key) {
  for (let at = 0; at < items.length; at++) {
    if (items[at].place === place && items[at].key === key) return at
  }
  return -1
}

/**
 * The digit of a position that chooses between the children of a node.
 *
 * @param {number} place
 * @param {number} depth
 */
function digitAt(place, depth) {
  return Math.floor(place / SIZES[depth + 1]) % FAN_OUT
}

/**
 * The first position of a range, and the first after it.
 *
 * @param {string} prefix
 * @returns {[first: number, limit: number]}
 */
function boundsOf(prefix) {
  const first = positionOf(prefix)
  return [first, first + SIZES[prefix.length]]
}

/**
 * @param {Item} a
 * @param {Item} b
 */
function byPosition(a, b) {
  return a.place - b.place || (a.key < b.key ? -1 : 1)
}
