// Promises that something else settles.

/** @template T */
export class Deferred {
  /** @type {(value: T) => void} */
  resolve = () => {}
  /** @type {(error: Error) => void} */
  reject = () => {}

  constructor() {
    /** @type {Promise<T>} */
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // Who does not look at the promise does not mind: its failure must not end a program.
    this.promise.catch(() => {})
  }
}
