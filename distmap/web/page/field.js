// A field of a form, with what is wrong with it beside it; and JSON that somebody wrote.

import { say } from "./dom.js"

export class Field {
  #input
  #error

  /**
   * @param {HTMLElement} input
   * @param {HTMLElement} error
   */
  constructor(input, error) {
    this.#input = input
    this.#error = error
  }

  /** @param {string} text what is wrong */
  fail(text) {
    say(this.#error, text)
    this.#input.setAttribute("aria-invalid", "true")
    this.#input.focus()
  }

  clear() {
    say(this.#error, "")
    this.#input.removeAttribute("aria-invalid")
  }
}

/**
 * Reads JSON.
 *
 * @param {string} text
 * @returns {{ value?: unknown, problem?: string, isText?: boolean }} the value; or what is wrong,
 *   and whether it looks like a text that only lacks its quotes
 */
export function readJson(text) {
  if (text.trim() === "") return { problem: 'A value is needed, such as 3, "red" or {"n": 3}.' }
  try {
    return { value: JSON.parse(text) }
  } catch (error) {
    const { message } = /** @type {Error} */ (error)
    // Chromium repeats the text, or a part of it.
    const why = message.replace(/, \S*".*" ?\S* is not valid JSON$/s, "")
    return { problem: `This is no JSON: ${why}.`, isText: /^\s*[^\s"{[]/.test(text) }
  }
}
