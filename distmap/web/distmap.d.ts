// What distmap.js exports, for TypeScript and for editors.

/** A value that a map can hold. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

export type ConnectionStatus = "connecting" | "open" | "offline" | "closed"
export type MapStatus = "connecting" | "syncing" | "ready" | "offline" | "closed"

/** What is used of a WebSocket: that of browsers, of Node.js 22, or of npm's `ws`. */
export interface Socket {
  readonly readyState: number
  onopen: ((event: any) => void) | null
  onmessage: ((event: any) => void) | null
  onerror: ((event: any) => void) | null
  onclose: ((event: any) => void) | null
  send(data: string): void
  close(code?: number, reason?: string): void
  /** Drops the connection; only `ws` has it. */
  terminate?(): void
}

export interface ConnectOptions {
  /** Where there is no global one, as in Node.js 20: that of npm's `ws`. */
  WebSocket?: new (url: string) => Socket
  /**
   * How long the maps on this connection keep what tells of a delete: 30 days by default; the same
   * for all peers of a map.
   */
  retentionSeconds?: number
  /**
   * What to show to a relay that lets not everybody in: a string; or what is called before each
   * connection, and when the relay asks anew, and returns one, or a promise of one. If it fails, that
   * is tried again as a connection would be.
   */
  credentials?: string | (() => Shown | Promise<Shown>)
}

/** Credentials; or nothing, to come as nobody in particular. */
export type Shown = string | null | undefined

/**
 * Begins to connect to a relay, and reconnects until the connection is closed.
 *
 * @param url the relay's: `ws://` or `wss://`; without it, the root of the page's host
 * @returns the connection, at once
 * @throws errors.InvalidValue: it is no such URL, or there is no WebSocket
 */
export function connect(url?: string | URL, options?: ConnectOptions): Connection

/** A connection to a relay. Made by {@link connect}. */
export class Connection {
  private constructor()

  readonly status: ConnectionStatus
  /** Why there is no connection; null if there is one, or none was tried yet. */
  readonly problem: errors.DistMapError | null
  /** The bytes of all messages of the relay so far, without those of WebSocket and TCP. */
  readonly bytesReceived: number
  /** The bytes of all messages to the relay so far; likewise. */
  readonly bytesSent: number

  /** Adds a handler: there is a connection. Returns what takes it back. */
  on(name: "open", handler: () => unknown): () => void
  /** Adds a handler: there is no connection, or another try failed. */
  on(name: "offline", handler: (problem: errors.DistMapError) => unknown): () => void
  /** Adds a handler: nothing is left of the connection. */
  on(name: "close", handler: () => unknown): () => void
  /** Takes a handler back. */
  off(name: "open" | "offline" | "close", handler: (...args: any[]) => unknown): void

  /**
   * Tries at once to connect; if there is a connection, finds out whether it is alive. Pages need
   * not call this: it happens when the network comes back and when the page is looked at again.
   */
  wake(): void

  /**
   * Shows credentials to the relay now: asks what was passed to {@link connect} for them once more,
   * and has what was refused tried again at once. While there is no connection, one is tried at once.
   * A second call begins anew, for both.
   *
   * @returns fulfilled once the relay has opened all maps of this connection with them; rejected with
   *   errors.AccessRefused if it does not open one of them, with errors.CredentialsFailed if there are
   *   none, or no answer, with errors.Unauthorized if the relay closes the connection for want of any,
   *   and with errors.ConnectionClosed if this program closes it. Nobody has to look at it.
   * @throws errors.ConnectionClosed: the connection is closed
   * @throws errors.NoCredentials: it was made without any
   */
  renew(): Promise<void>

  /** Closes the connection and all maps on it. Fulfilled when no socket and no timer is left. */
  close(): Promise<void>
}

/** One change of a map. */
export interface Change<V = any> {
  key: string
  /** What is there now; undefined if it was deleted. */
  value: V | undefined
  /** What was there before; undefined if nothing was. */
  oldValue: V | undefined
  /** Whether this is a delete. */
  deleted: boolean
  /** Whether this peer wrote it. */
  local: boolean
  /** The id of the replica that wrote. */
  writer: string
  /** When it wrote, by the relay's time: milliseconds since 1970. */
  timeMs: number
}

/** When, and by whom, an entry was written; stamps compare in the order of the fields. */
export interface Stamp {
  /** Milliseconds since 1970, by the relay's time as the writer estimated it. */
  ms: number
  /** Orders the writes within one `ms`. */
  counter: number
  /** The id of the replica that wrote. */
  writer: string
}

export interface MapOptions {
  /** The longest JSON text of a value, in bytes; the same for all peers of a map. */
  maxValueBytes?: number
  /**
   * Keeps a copy of the map, and the writes that the relay has not taken, in IndexedDB or in a store
   * of your own; a map that is opened later begins with them.
   */
  persist?: boolean | Store
}

/**
 * What becomes of the copy: `off`: none was asked for; `loading`: it is being read; `on`; `failed`:
 * the map goes on without one.
 */
export type Persisted = "off" | "loading" | "on" | "failed"

/** A place where copies of maps are kept, other than IndexedDB. */
export interface Store {
  /**
   * Opens a copy, an empty one if there is none.
   *
   * @param name of one map on one relay
   * @param gone is to be called if the copy is closed by something else
   */
  open(name: string, gone: (problem: Error) => void): Promise<StoredCopy>
  /** Deletes a copy; those who have it open lose it, and are told. */
  erase(name: string): Promise<void>
}

/** The copy of one map: two tables of records, each a text with a key, and one about the whole. */
export interface StoredCopy {
  /** The record about the whole; undefined in a new copy. */
  readMeta(): Promise<unknown>
  /** The next records of a table after a key, in an order that does not change. */
  read(
    table: "entries" | "outbox",
    after: string | null,
    most: number,
  ): Promise<[key: string, record: string][]>
  /**
   * Reads the records of some keys, calls `decide`, and writes what it returned, in one step:
   * nobody else writes meanwhile, and all of it is written or nothing.
   *
   * @returns fulfilled when it is written; rejected if it cannot be, or `decide` throws
   */
  update(
    keys: { entries: string[]; outbox: string[] },
    decide: (found: FoundRecords) => ChangedRecords,
  ): Promise<void>
  close(): void
}

/** Those of the keys that were asked for and have a record. */
export interface FoundRecords {
  meta: unknown
  entries: Map<string, string>
  outbox: Map<string, string>
}

/** New records by key; null for one that goes. */
export interface ChangedRecords {
  meta?: object
  entries: [key: string, record: string | null][]
  outbox: [key: string, record: string | null][]
}

/**
 * A map that all peers of one URI share.
 *
 * Each peer holds a full copy. Reading is local; a write is here at once and goes to the others. Of
 * two writes of one key the later one stays, in all copies. Values are JSON; each reading gives a
 * new object. Nothing checks that what others write is a `V`.
 */
export class DistributedMap<V = any> implements Iterable<[key: string, value: V]> {
  /**
   * @param connection from {@link connect}
   * @param uri names the map: 1 to 900 bytes; `/distributed-map` by default
   * @throws errors.InvalidType, errors.InvalidValue: the URI or an option is out of its bounds
   * @throws errors.ConnectionClosed: the connection is closed
   */
  constructor(connection: Connection, uri?: string, options?: MapOptions)

  readonly uri: string
  readonly connection: Connection

  /** How many keys there are. */
  readonly size: number
  /** The value of a key; undefined if there is none. */
  get(key: string): V | undefined
  has(key: string): boolean
  /** When a key was set, and by whom; undefined if it has no value. */
  stamp(key: string): Stamp | undefined
  /** The relay's time as estimated here, which stamps are told in: milliseconds since 1970. */
  nowMs(): number
  /** 13 hexadecimal digits that are the same in all equal copies; deletes count too. */
  digest(): string
  keys(): IterableIterator<string>
  values(): IterableIterator<V>
  entries(): IterableIterator<[key: string, value: V]>
  [Symbol.iterator](): IterableIterator<[key: string, value: V]>
  forEach(handler: (value: V, key: string, map: this) => void, self?: unknown): void

  /**
   * Sets a value: here at once, then everywhere.
   *
   * @returns fulfilled once the relay has taken it for the network, also after a reconnect;
   *   rejected with errors.MapClosed if the map is closed before that. Nobody has to look at it.
   * @throws errors.InvalidKey, errors.InvalidValue, errors.InvalidType: no map can hold it
   * @throws errors.MapClosed: the map is closed
   */
  set(key: string, value: V): Promise<void>

  /**
   * Deletes a key: here at once, then everywhere.
   *
   * @returns as with `set()`, true; at once false if there is no such key
   * @throws errors.InvalidKey, errors.InvalidType: no map can hold such a key
   * @throws errors.MapClosed: the map is closed
   */
  delete(key: string): Promise<boolean>

  /**
   * Sets many keys as one batch: see {@link batch}.
   *
   * @param pairs a Map, an iterable of pairs, or an object
   * @returns as with `batch()`
   * @throws errors.InvalidKey, errors.InvalidValue, errors.InvalidType: no map can hold one of them,
   *   or they are too much for a batch (786432 bytes); nothing is written then
   * @throws errors.MapClosed: the map is closed
   */
  update(pairs: Iterable<readonly [key: string, value: V]> | Readonly<Record<string, V>>): Promise<void>

  /**
   * Calls a function whose writes go together: in one message to the others, in one step into each
   * copy. They are written when it returns; reading within it sees them. If it throws, nothing of it
   * is written. A batch within a batch becomes a part of it.
   *
   * @param write is called at once; it cannot be async
   * @returns fulfilled once the relay has taken all of it for the network, also after a reconnect;
   *   rejected with errors.MapClosed if the map is closed before that. Nobody has to look at it.
   * @throws errors.InvalidType: it is no function, or an async one
   * @throws errors.MapClosed: the map is closed
   */
  batch(write: () => void): Promise<void>

  /** Adds a handler: a peer set a key. Returns what takes it back. */
  on(name: "set", handler: (value: V, key: string, map: this) => unknown): () => void
  /** Adds a handler: a peer deleted a key. */
  on(name: "delete", handler: (oldValue: V, key: string, map: this) => unknown): () => void
  /** Adds a handler: the map has the network's state. Is called at once if it has it already. */
  on(name: "ready", handler: (map: this) => unknown): () => void
  /** Adds a handler: the status is another; the problem tells why the map is offline. */
  on(
    name: "status",
    handler: (status: MapStatus, problem: errors.DistMapError | null) => unknown,
  ): () => void
  /** Adds a handler: the number of others has changed. */
  on(name: "peers", handler: (peers: number) => unknown): () => void
  /**
   * Adds a handler: a write of this peer of long ago was not kept, because others had changed the
   * key. The value is undefined for a delete.
   */
  on(
    name: "superseded",
    handler: (value: V | undefined, key: string, map: this) => unknown,
  ): () => void
  /** Adds a handler: `persisted` is another; the problem tells why it is `failed`. */
  on(
    name: "persisted",
    handler: (persisted: Persisted, problem: Error | null) => unknown,
  ): () => void
  /** Takes a handler back. */
  off(
    name: "set" | "delete" | "ready" | "status" | "peers" | "superseded" | "persisted",
    handler: (...args: any[]) => unknown,
  ): void
  /** Adds a handler of all changes, also this peer's own. Returns what takes it back. */
  observe(handler: (change: Change<V>) => unknown): () => void
  /**
   * Adds a handler of all changes as lists: of what one message, or one batch of this peer, has
   * changed. A single write of this peer is a list of one. Returns what takes it back.
   */
  observeBatch(handler: (changes: Change<V>[]) => unknown): () => void

  /**
   * Fulfilled with the map once it has the network's state; rejected with errors.MapClosed if it is
   * closed before that.
   */
  ready(): Promise<this>
  /** How many others have this map open now. */
  readonly peers: number
  /** What made the map ready: `peer` (synced with one), `alone` (nobody had it), or null. */
  readonly synced: "peer" | "alone" | null
  /** What this peer may do, as the relay said last; null before it has said it. */
  readonly access: "read" | "write" | null
  readonly status: MapStatus
  /** Why the map is offline; null if it is not. */
  readonly problem: errors.DistMapError | null
  /** How often this copy was found to differ from another one; it is repaired by itself. */
  readonly divergences: number
  /** How many entries of other peers could not be taken. */
  readonly refused: number

  /** What becomes of the copy that `persist` asked for. */
  readonly persisted: Persisted
  /**
   * Fulfilled with true once all that this program wrote up to now is in the copy; with false if
   * there is none.
   */
  saved(): Promise<boolean>
  /**
   * Deletes the copy, with what the relay has not taken; this map, and those of other tabs, go on
   * without. Rejected if the store refuses.
   */
  eraseCopy(): Promise<void>

  /** Leaves the map; the connection stays. Fulfilled when nothing is left of it. */
  close(): Promise<void>
}

/** Every error that distmap throws or rejects a promise with. */
export namespace errors {
  /** The base of all. */
  class DistMapError extends Error {
    /** A short name for programs, such as `invalid-key`. */
    readonly code: string
  }

  /** The caller asked for something that cannot be done. */
  class LocalError extends DistMapError {}
  /** A stream was used against its state. */
  class LocalProtocolError extends LocalError {}
  /** A key that no map can hold: empty, too long, or with a lone surrogate. */
  class InvalidKey extends LocalError {}
  /** A value that no map can hold: not finite, an integer out of range, too deep, too large. */
  class InvalidValue extends LocalError {}
  /** A key that is not a string, or a value of a type that JSON does not have. */
  class InvalidType extends LocalError {}
  /** The map is closed; what it had not yet handed to the relay was not sent. */
  class MapClosed extends LocalError {}
  /** A write of long ago was not offered again, because others had changed its key since. */
  class Superseded extends LocalError {}
  /** Nothing of a batch was written: its function threw. */
  class BatchError extends LocalError {}
  /** The connection was closed by this program. */
  class ConnectionClosed extends LocalError {}
  /** The connection was made without credentials: there is nothing to renew. */
  class NoCredentials extends LocalError {}

  /** The other side broke the protocol or refused something. */
  class RemoteError extends DistMapError {}
  /** The other side sent what the protocol does not allow. */
  class RemoteProtocolError extends RemoteError {}
  /** The other side went over a limit. */
  class LimitExceeded extends RemoteProtocolError {}
  /** The other side ended a stream with an error. */
  class StreamError extends RemoteError {}
  /** The other side speaks a protocol version that this one does not. */
  class VersionMismatch extends RemoteError {}
  /** The relay does not let this peer open the map, or write to it. */
  class AccessRefused extends RemoteError {}

  /** Why there is no connection to the relay just now. */
  class ConnectionProblem extends DistMapError {
    /** When to try again, if the relay said so. */
    readonly retrySeconds: number | null
    /** The code of the close frame that came, if one did. */
    readonly closeCode: number | null
  }
  /** The WebSocket did not open; browsers do not tell why. */
  class CannotConnect extends ConnectionProblem {}
  /** What was to give the credentials failed, took too long or gave something else. */
  class CredentialsFailed extends ConnectionProblem {}
  /** The server stayed silent while the WebSocket was being opened. */
  class HandshakeTimeout extends ConnectionProblem {}
  /** An open connection ended. */
  class ConnectionLost extends ConnectionProblem {}
  /** An open connection went silent. */
  class PingTimeout extends ConnectionLost {}
  /** The relay closed the connection, which had not shown in time what opens any map to it. */
  class Unauthorized extends ConnectionLost {}
}
