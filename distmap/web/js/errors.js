// Every error that distmap throws or rejects a promise with.
//
// Three families: what the caller did wrong (LocalError), what the other side did wrong
// (RemoteError), and what the network did (ConnectionProblem). `code` is a short, stable name for
// programs, the same as in Python; the text is for people.

/** The base of all errors of distmap. */
export class DistMapError extends Error {
  static code = "error"

  /**
   * @param {string} message for people
   * @param {string} [code] if not that of the class
   */
  constructor(message, code) {
    super(message)
    this.name = new.target.name
    /** A short name for programs, such as `invalid-key`. */
    this.code = code ?? new.target.code
  }
}

// -- the caller's own mistakes: thrown at the call ------------------------------------------------

/** The caller asked for something that cannot be done. */
export class LocalError extends DistMapError {
  static code = "local"
}

/** A stream was used against its state: written after its end, ended twice, not writable. */
export class LocalProtocolError extends LocalError {
  static code = "local-protocol"
}

/** A key that no map can hold: empty, too long, or with a lone surrogate. */
export class InvalidKey extends LocalError {
  static code = "invalid-key"
}

/** A value that no map can hold: not finite, an integer out of range, too deep, too large. */
export class InvalidValue extends LocalError {
  static code = "invalid-value"
}

/** A key that is not a string, or a value of a type that JSON does not have. */
export class InvalidType extends LocalError {
  static code = "invalid-type"
}

/** The map is closed; what it had not yet handed to the relay was not sent. */
export class MapClosed extends LocalError {
  static code = "map-closed"
}

/** A write of long ago was not offered again, because others had changed its key since. */
export class Superseded extends LocalError {
  static code = "superseded"
}

/** Nothing of a batch was written: its function threw. */
export class BatchError extends LocalError {
  static code = "batch"
}

/** The connection was closed by this program. */
export class ConnectionClosed extends LocalError {
  static code = "connection-closed"
}

/** The connection was made without credentials: there is nothing to renew. */
export class NoCredentials extends LocalError {
  static code = "no-credentials"
}

// -- the other side's mistakes: end the stream or the connection they came on ---------------------

/** The other side broke the protocol or refused something. */
export class RemoteError extends DistMapError {
  static code = "remote"
}

/** The other side sent what the protocol does not allow. */
export class RemoteProtocolError extends RemoteError {
  static code = "protocol"
}

/** The other side went over a limit; the text names the limit and its size. */
export class LimitExceeded extends RemoteProtocolError {
  static code = "limit"
}

/** The other side ended a stream with an error; `code` is its name of it. */
export class StreamError extends RemoteError {
  static code = "error"
}

/** The other side speaks a protocol version that this one does not. */
export class VersionMismatch extends RemoteError {
  static code = "version"
}

/** The relay does not let this peer open the map, or write to it. */
export class AccessRefused extends RemoteError {
  static code = "refused"
}

// -- what happens to connections: told with the status --------------------------------------------

/** Why there is no connection to the relay just now. */
export class ConnectionProblem extends DistMapError {
  static code = "connection"

  /**
   * When to try again, if the relay said so.
   *
   * @type {number | null}
   */
  retrySeconds = null

  /**
   * The code of the close frame that came, if one did.
   *
   * @type {number | null}
   */
  closeCode = null
}

/** The WebSocket did not open; browsers do not tell why. */
export class CannotConnect extends ConnectionProblem {
  static code = "cannot-connect"
}

/** What was to give the credentials failed, took too long or gave something else. */
export class CredentialsFailed extends ConnectionProblem {
  static code = "credentials-failed"
}

/** The server stayed silent while the WebSocket was being opened. */
export class HandshakeTimeout extends ConnectionProblem {
  static code = "handshake-timeout"
}

/** An open connection ended: the relay went away or said why it closed. */
export class ConnectionLost extends ConnectionProblem {
  static code = "connection-lost"
}

/** An open connection went silent: no answer to a question. */
export class PingTimeout extends ConnectionLost {
  static code = "ping-timeout"
}

/** The relay closed the connection, which had not shown in time what opens any map to it. */
export class Unauthorized extends ConnectionLost {
  static code = "unauthorized"
}
