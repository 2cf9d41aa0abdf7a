// A list of any length: only the rows in sight, and a few around them, are in the document.

import { make } from "./dom.js"

/** Rows above and below those in sight, so that scrolling finds them there. */
const SPARE_ROWS = 8

/**
 * One row, which shows now this item and now that one.
 *
 * @typedef {object} Row
 * @property {HTMLElement} element
 * @property {(index: number) => void} fill shows the item with this index
 */

/**
 * Shows the items of a list in an element that scrolls.
 *
 * @template {Row} R
 */
export class List {
  #element
  #space = make("div", "space")
  #makeRow
  /** @type {R[]} in the order of the document */
  #rows = []
  #first = 0
  #length = 0
  #rowHeight = 0

  /**
   * @param {HTMLElement} element scrolls; `--row` in its style is the height of a row
   * @param {() => R} makeRow
   */
  constructor(element, makeRow) {
    this.#element = element
    this.#makeRow = makeRow
    this.#space.setAttribute("role", "rowgroup")
    element.append(this.#space)
    element.addEventListener("scroll", () => this.#arrange(), { passive: true })
    new ResizeObserver(() => this.refresh()).observe(element)
  }

  /** The rows in the document, from top to bottom. */
  get rows() {
    return this.#rows
  }

  /** How many rows are in sight. */
  get page() {
    return Math.max(1, Math.floor(this.#element.clientHeight / this.#rowHeight) - 1)
  }

  /** The index of the first item in sight. */
  get top() {
    return this.#rowHeight ? Math.floor(this.#element.scrollTop / this.#rowHeight) : 0
  }

  /**
   * Items were put in, or taken out, above those in sight: those stay where they are.
   *
   * @param {number} by how many
   */
  shift(by) {
    if (by === 0) return
    this.#length += by
    this.#size()
    this.#element.scrollTop += by * this.#rowHeight
  }

  /**
   * The items are others, or more, or fewer.
   *
   * @param {number} length how many there are
   */
  show(length) {
    this.#length = length
    this.refresh()
  }

  /** Shows the items anew, in rows of the height that the style gives them now. */
  refresh() {
    const height = parseFloat(getComputedStyle(this.#element).getPropertyValue("--row"))
    if (height !== this.#rowHeight) {
      const top = this.#rowHeight ? this.#element.scrollTop / this.#rowHeight : 0
      this.#rowHeight = height
      this.#size()
      this.#element.scrollTop = top * height
    }
    this.#size()
    this.#arrange(true)
  }

  /**
   * Scrolls as little as needed to bring an item into sight.
   *
   * @param {number} index
   */
  reveal(index) {
    const { scrollTop, clientHeight } = this.#element
    const top = index * this.#rowHeight
    if (top < scrollTop) this.#element.scrollTop = top
    else if (top + this.#rowHeight > scrollTop + clientHeight) {
      this.#element.scrollTop = top + this.#rowHeight - clientHeight
    }
    this.#arrange()
  }

  #size() {
    const height = `${this.#length * this.#rowHeight}px`
    if (this.#space.style.height !== height) this.#space.style.height = height
  }

  /**
   * Puts the rows where they are in sight; those that stay there are left alone.
   *
   * @param {boolean} [all] fill all of them
   */
  #arrange(all = false) {
    const { scrollTop, clientHeight } = this.#element
    const inSight = Math.ceil(clientHeight / this.#rowHeight) + 1
    const count = Math.min(this.#length, inSight + 2 * SPARE_ROWS)
    const wanted = Math.floor(scrollTop / this.#rowHeight) - SPARE_ROWS
    const first = Math.max(0, Math.min(wanted, this.#length - count))
    const before = { first: this.#first, last: this.#first + this.#rows.length }
    this.#turn(first - this.#first)
    while (this.#rows.length > count) this.#rows.pop()?.element.remove()
    while (this.#rows.length < count) {
      const row = this.#makeRow()
      this.#rows.push(row)
      this.#space.append(row.element)
    }
    this.#first = first
    this.#rows.forEach((row, at) => {
      const index = first + at
      if (!all && index >= before.first && index < before.last) return
      row.element.style.transform = `translateY(${index * this.#rowHeight}px)`
      row.fill(index)
    })
  }

  /**
   * Moves rows that went out of sight from one end to the other.
   *
   * @param {number} by how many rows the sight has moved down
   */
  #turn(by) {
    if (Math.abs(by) >= this.#rows.length) return
    for (; by > 0; by--) {
      const row = /** @type {R} */ (this.#rows.shift())
      this.#rows.push(row)
      this.#space.append(row.element)
    }
    for (; by < 0; by++) {
      const row = /** @type {R} */ (this.#rows.pop())
      this.#rows.unshift(row)
      this.#space.prepend(row.element)
    }
  }
}
