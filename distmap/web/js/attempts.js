// What a connection asks of what it is made with, and of what rides on it: types only.

/** @import { Session, Transport } from "./session.js" */

/**
 * One try to reach the relay, and the connection it leads to.
 *
 * @typedef {object} Attempt
 * @property {(transport: Transport) => void} attemptOpened the connection is open
 * @property {(message: string) => void} attemptReceived a message came
 * @property {(problem: Error) => void} attemptFailed the connection could not be opened, or is
 *   closed; comes once, and ends the attempt
 */

/**
 * Makes connections to one relay. What comes back from connect() abandons the attempt.
 *
 * @typedef {object} Connector
 * @property {string} [url] of the relay
 * @property {(attempt: Attempt) => (problem: Error) => void} connect
 */

/**
 * What rides on a connection: told of each session.
 *
 * @typedef {object} Member
 * @property {string} uri of the map
 * @property {boolean | null} letIn whether the relay has opened it on this session; null as long as
 *   that is not known
 * @property {(session: Session) => void} sessionOpened
 * @property {(problem: Error) => void} sessionLost there is none any more, or a try failed
 * @property {() => void} reopen what was not opened may be now: it need not wait any longer
 * @property {() => boolean} ask asks the relay something; false if it cannot
 * @property {() => unknown} close the connection is about to be closed: the member leaves, and says
 *   with waitFor() how long that takes
 */

/**
 * Shows credentials on a connection.
 *
 * @typedef {object} Renewer
 * @property {() => Promise<void>} renew see Connection.renew()
 * @property {() => void} check a member is let in, or not, or is gone
 */

export {}
