// The entries of a copy in IndexedDB. A browser takes some 40 µs for each call, whatever it carries, so
// entries that are saved together go into pages. What is saved alone later has a record of its own,
// which counts before the page.
//
// A page has the entries of a range of keys, in their order, under the first key. No two ranges
// overlap.

/** Where the records of single entries are. */
export const ENTRIES = "entries"
export const PAGES = "pages"
/** So many keys, and more, are saved in pages. */
export const BULK_KEYS = 64
/** So few are looked for in one step, though a page may then be read more than once. */
const FEW_KEYS = 8
/** Who saves one entry reads its page. */
export const PAGE_CHARS = 32 * 1024
/** Where so many keys, or fewer, fall into one page it does not pay to write it anew. */
const LEAST_KEYS = 32
/** The record of an entry that is gone, though its page has it. */
const GONE = ""

/** @typedef {[key: string, record: string]} Saved */
/** @typedef {{ keys: string[], records: string[] }} Page */

/**
 * What is there of some keys.
 *
 * @typedef {object} Found
 * @property {Set<string>} asked the keys
 * @property {Map<string, string>} records of those that are there
 * @property {Saved[]} paged what the pages have, also of those that are gone
 * @property {Range | null} range if all was read that lies between the keys
 */

/**
 * All entries from the least to the greatest of some keys.
 *
 * @typedef {object} Range
 * @property {IDBKeyRange} bounds
 * @property {string[]} firsts of the pages that have some of them
 * @property {Saved[]} entries of these pages, which may go beyond, and of the single records
 */

/**
 * Reads the next entries, in the order of their keys.
 *
 * @param {IDBTransaction} transaction
 * @param {string | null} after
 * @param {number} most
 * @returns {Promise<Saved[]>} as many at most; none only at the end
 */
export async function readEntries(transaction, after, most) {
  for (;;) {
    const paged = await readPageAfter(transaction, after)
    const end = paged.at(-1)?.[0] ?? null
    const single = await readAll(transaction.objectStore(ENTRIES), rangeOf(after, end), most)
    // Of a part that is cut off, no more counts than is known.
    const last = single.length < most ? end : single[most - 1][0]
    const known = paged.filter(([key]) => last !== null && key <= last)
    const entries = merged(known, single)
    if (entries.length > 0 || last === null) return entries.slice(0, most)
    after = last // what was there is gone
  }
}

/**
 * Reads what is there of some keys.
 *
 * @param {IDBTransaction} transaction
 * @param {string[]} keys
 * @returns {Promise<Found>}
 */
export async function findEntries(transaction, keys) {
  const asked = new Set(keys)
  const together = asked.size < BULK_KEYS ? null : await findTogether(transaction, [...asked].sort())
  const { entries, paged, range } = together ?? (await findAlone(transaction, asked))
  return { asked, records: new Map(entries.filter(([key]) => asked.has(key))), paged, range }
}

/**
 * Writes new records; null for one that goes.
 *
 * @param {IDBTransaction} transaction
 * @param {Found} found what is there of their keys
 * @param {[key: string, record: string | null][]} changes
 */
export function writeEntries(transaction, { asked, paged, range }, changes) {
  const store = transaction.objectStore(ENTRIES)
  if (range !== null && changes.length >= BULK_KEYS && changes.every(([key]) => asked.has(key))) {
    store.delete(range.bounds)
    writePages(transaction, range, changes)
    return
  }
  const pagedKeys = new Set(paged.map(([key]) => key))
  for (const [key, record] of changes) {
    if (record !== null) store.put(record, key)
    else if (pagedKeys.has(key) || !asked.has(key)) store.put(GONE, key)
    else store.delete(key)
  }
}

/**
 * @param {IDBTransaction} transaction
 * @param {Range} range
 * @param {[key: string, record: string | null][]} changes
 */
function writePages(transaction, { firsts, entries }, changes) {
  const pages = transaction.objectStore(PAGES)
  const all = new Map(entries)
  for (const [key, record] of changes) {
    if (record === null) all.delete(key)
    else all.set(key, record)
  }
  for (const first of firsts) pages.delete(first)
  for (const page of cut([...all].sort(byKey))) pages.put(page, page.keys[0])
}

/**
 * @param {Saved[]} entries
 * @returns {Generator<Page, void>}
 */
function* cut(entries) {
  /** @type {Page} */
  let page = { keys: [], records: [] }
  let chars = 0
  for (const [key, record] of entries) {
    page.keys.push(key)
    page.records.push(record)
    chars += key.length + record.length
    if (chars < PAGE_CHARS) continue
    yield page
    page = { keys: [], records: [] }
    chars = 0
  }
  if (page.keys.length) yield page
}

// -- reading --------------------------------------------------------------------------------------

/**
 * Of the page in which a key lies, what comes after the key; or else the next page.
 *
 * @param {IDBTransaction} transaction
 * @param {string | null} after
 */
async function readPageAfter(transaction, after) {
  const pages = transaction.objectStore(PAGES)
  const page = after === null ? null : await pageOf(pages, after)
  const rest = page?.entries.filter(([key]) => after !== null && key > after) ?? []
  if (rest.length) return rest
  const [next] = await readAll(pages, rangeOf(after, null), 1)
  return next === undefined ? [] : entriesOf(...next).filter(([key]) => after === null || key > after)
}

/**
 * Reads all that lies between some keys, by few calls.
 *
 * @param {IDBTransaction} transaction
 * @param {string[]} keys in their order
 * @returns {Promise<{ entries: Saved[], paged: Saved[], range: Range } | null>} null if that is too
 *   much more than these keys
 */
async function findTogether(transaction, keys) {
  const [least, greatest] = [keys[0], keys[keys.length - 1]]
  const pages = transaction.objectStore(PAGES)
  const mostPages = Math.ceil(keys.length / LEAST_KEYS)
  const store = transaction.objectStore(ENTRIES)
  const bounds = IDBKeyRange.bound(least, greatest)
  const [first, firsts, count] = await Promise.all([
    pageOf(pages, least),
    resultOf(pages.getAllKeys(rangeOf(least, greatest), mostPages + 1)),
    resultOf(store.count(bounds)),
  ])
  if (firsts.length > mostPages || count > keys.length + BULK_KEYS) return null
  const [more, single] = await Promise.all([
    readAll(pages, rangeOf(least, greatest), mostPages),
    readAll(store, bounds, count),
  ])
  const isWithin = first !== null && first.entries.some(([key]) => key >= least)
  const paged = [...(isWithin ? first.entries : []), ...more.flatMap((each) => entriesOf(...each))]
  const all = [...(isWithin ? [first.first] : []), ...more.map(([key]) => key)]
  const entries = merged(paged, single)
  return { entries, paged, range: { bounds, firsts: all, entries } }
}

/**
 * Reads some keys, each by itself.
 *
 * @param {IDBTransaction} transaction
 * @param {Set<string>} keys
 */
async function findAlone(transaction, keys) {
  const pages = transaction.objectStore(PAGES)
  const store = transaction.objectStore(ENTRIES)
  const [records, found] = await Promise.all([
    Promise.all(Array.from(keys, (key) => resultOf(store.get(key)))),
    keys.size <= FEW_KEYS ? pagesOfFew(pages, keys) : pagesOfMany(pages, keys),
  ])
  const paged = found.flat().filter(([key]) => keys.has(key))
  const single = Array.from(keys, (key, at) => /** @type {Saved} */ ([key, records[at]]))
  const entries = merged(
    paged,
    single.filter(([, record]) => record !== undefined),
  )
  return { entries, paged, range: null }
}

/**
 * In one step: what a page writes while it is being closed has no time for more.
 *
 * @param {IDBObjectStore} pages
 * @param {Set<string>} keys
 */
async function pagesOfFew(pages, keys) {
  const found = await Promise.all(Array.from(keys, (key) => pageOf(pages, key)))
  return found.map((page) => page?.entries ?? [])
}

/**
 * Each page once.
 *
 * @param {IDBObjectStore} pages
 * @param {Set<string>} keys
 */
async function pagesOfMany(pages, keys) {
  if ((await resultOf(pages.count())) === 0) return []
  const cursors = Array.from(keys, (key) =>
    resultOf(pages.openKeyCursor(IDBKeyRange.upperBound(key), "prev")),
  )
  const firsts = new Set((await Promise.all(cursors)).flatMap((cursor) => cursor?.key ?? []))
  return Promise.all(
    Array.from(firsts, async (first) => entriesOf(first, await resultOf(pages.get(first)))),
  )
}

/**
 * The page in whose range a key lies, if there is one; it need not have the key.
 *
 * @param {IDBObjectStore} pages
 * @param {string} key
 */
async function pageOf(pages, key) {
  const cursor = await resultOf(pages.openCursor(IDBKeyRange.upperBound(key), "prev"))
  if (cursor === null) return null
  return { first: String(cursor.key), entries: entriesOf(cursor.key, cursor.value) }
}

/**
 * @param {unknown} first
 * @param {any} page
 * @returns {Saved[]} a record that is damaged, if the page is
 */
function entriesOf(first, page) {
  const { keys, records } = Object(page)
  const isSound = Array.isArray(keys) && Array.isArray(records) && keys.length === records.length
  return isSound ? keys.map((key, at) => [key, records[at]]) : [[String(first), "damaged"]]
}

/**
 * What there is, in order.
 *
 * @param {Saved[]} paged
 * @param {Saved[]} single count before those
 */
function merged(paged, single) {
  if (single.length === 0) return paged
  const all = new Map(paged)
  for (const [key, record] of single) all.set(key, record)
  return [...all].filter(([, record]) => record !== GONE).sort(byKey)
}

/**
 * @param {Saved} a
 * @param {Saved} b
 */
function byKey([a], [b]) {
  return a < b ? -1 : 1
}

/**
 * The keys after one, up to another; where there is null, from the first or to the last.
 *
 * @param {string | null} after
 * @param {string | null} until
 */
export function rangeOf(after, until) {
  if (until === null) return after === null ? null : IDBKeyRange.lowerBound(after, true)
  return after === null ? IDBKeyRange.upperBound(until) : IDBKeyRange.bound(after, until, true)
}

/**
 * @param {IDBObjectStore} store
 * @param {IDBKeyRange | null} range
 * @param {number} most
 * @returns {Promise<[key: string, value: any][]>}
 */
export async function readAll(store, range, most) {
  const [keys, values] = await Promise.all([
    resultOf(store.getAllKeys(range, most)),
    resultOf(store.getAll(range, most)),
  ])
  return keys.map((key, at) => [/** @type {string} */ (key), values[at]])
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
export function resultOf(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
