// Events with handlers that can do no harm: one that throws is logged and stops nothing.

import { InvalidType, InvalidValue } from "./errors.js"

/** @typedef {(...args: any[]) => unknown} Handler */

/** Keeps the handlers of a fixed set of events. */
export class Emitter {
  /** @type {Map<string, readonly Handler[]>} */
  #handlers

  /** @param {string[]} names the events there are */
  constructor(...names) {
    this.#handlers = new Map(names.map((name) => [name, []]))
  }

  /**
   * Adds a handler; the same one can be added more than once.
   *
   * @param {string} name
   * @param {Handler} handler
   * @returns {() => void} what takes it back
   * @throws {InvalidValue} there is no such event
   * @throws {InvalidType} the handler is no function
   */
  on(name, handler) {
    if (typeof handler !== "function") throw new InvalidType("a handler is a function")
    this.#handlers.set(name, [...this.#known(name), handler])
    return () => this.off(name, handler)
  }

  /**
   * Takes a handler back; one that is not there is no error.
   *
   * @param {string} name
   * @param {Handler} handler
   */
  off(name, handler) {
    const handlers = this.#known(name)
    const at = handlers.indexOf(handler)
    this.#handlers.set(
      name,
      handlers.filter((_, each) => each !== at),
    )
  }

  /**
   * Whether anybody listens.
   *
   * @param {string} name
   */
  has(name) {
    return this.#known(name).length > 0
  }

  /**
   * Calls the handlers in the order they were added.
   *
   * @param {string} name
   * @param {unknown[]} args
   */
  emit(name, ...args) {
    for (const handler of this.#known(name)) call(name, handler, args)
  }

  /** @param {string} name */
  #known(name) {
    const handlers = this.#handlers.get(name)
    if (handlers !== undefined) return handlers
    const names = [...this.#handlers.keys()].join(", ")
    throw new InvalidValue(`no event ${JSON.stringify(name)}: there are ${names}`)
  }
}

/**
 * Calls a handler; what it throws, or rejects its promise with, is logged.
 *
 * @param {string} name
 * @param {Handler} handler
 * @param {unknown[]} args
 */
export function call(name, handler, args) {
  /** @param {unknown} error */
  const log = (error) => console.error(`distmap: a handler of ${name} failed:`, error)
  try {
    const result = handler(...args)
    if (result instanceof Promise) result.catch(log)
  } catch (error) {
    log(error)
  }
}
