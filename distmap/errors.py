"""Every error that distmap raises or hands to an errback.

Three families: what the caller did wrong (:class:`LocalError`), what the other side did wrong
(:class:`RemoteError`), and what the network did (:class:`ConnectionProblem`). A bad key or value is
a plain ``ValueError`` or ``TypeError`` as well, so that code that knows nothing of distmap can
catch it. ``code`` is a short, stable name for programs; the text is for people.
"""

from __future__ import annotations


class DistMapError(Exception):
    """The base of all errors of distmap."""

    code = "error"


# -- the caller's own mistakes: raised at the call ------------------------------------------------


class LocalError(DistMapError):
    """The caller asked for something that cannot be done."""

    code = "local"


class LocalProtocolError(LocalError):
    """A stream was used against its state: written after its end, ended twice, not writable."""

    code = "local-protocol"


class InvalidKey(LocalError, ValueError):
    """A key that no map can hold: empty, too long, or with a lone surrogate."""

    code = "invalid-key"


class InvalidValue(LocalError, ValueError):
    """A value that no map can hold: not finite, an integer out of range, too deep, too large."""

    code = "invalid-value"


class InvalidType(LocalError, TypeError):
    """A key that is not a string, or a value of a type that JSON does not have."""

    code = "invalid-type"


class MapClosed(LocalError):
    """The map is closed; what it had not yet handed to the relay was not sent."""

    code = "map-closed"


class Superseded(LocalError):
    """A write of long ago was not offered again, because others had changed its key since."""

    code = "superseded"


class BatchError(LocalError):
    """Nothing of a batch was written: its block raised, or was not used as a block."""

    code = "batch"


class ConnectionClosed(LocalError):
    """The connection was closed by this program."""

    code = "connection-closed"


class NoCredentials(LocalError):
    """The connection was made without credentials: there is nothing to renew."""

    code = "no-credentials"


# -- the other side's mistakes: end the stream or the connection they came on --------------------


class RemoteError(DistMapError):
    """The other side broke the protocol or refused something."""

    code = "remote"


class RemoteProtocolError(RemoteError):
    """The other side sent what the protocol does not allow."""

    code = "protocol"


class LimitExceeded(RemoteProtocolError):
    """The other side went over a limit; the text names the limit and its size."""

    code = "limit"


class StreamError(RemoteError):
    """The other side ended a stream with an error.

    Args:
        message: what the other side said.
        code: its short name of the error, such as ``unknown-route``.
    """

    def __init__(self, message: str, code: str = "error") -> None:
        super().__init__(message)
        self.code = code


class VersionMismatch(RemoteError):
    """The other side speaks a protocol version that this one does not."""

    code = "version"


class AccessRefused(RemoteError):
    """The relay does not let this peer open the map, or write to it."""

    code = "refused"


# -- what happens to connections: told in the log, in ``status.reason`` and to errbacks ----------


class ConnectionProblem(DistMapError):
    """Why there is no connection to the relay just now.

    Attributes:
        retry_seconds: when to try again, if the relay said so.
        close_code: of the close frame that came, if one did.
    """

    code = "connection"
    retry_seconds: float | None = None
    close_code: int | None = None


class CannotConnect(ConnectionProblem):
    """No TCP connection: refused, unreachable, or the name is unknown."""

    code = "cannot-connect"


class CredentialsFailed(ConnectionProblem):
    """What was to give the credentials raised, failed, took too long or gave something else."""

    code = "credentials-failed"


class UpgradeRefused(ConnectionProblem):
    """The server answered, but refused the WebSocket upgrade (it may be no relay at all)."""

    code = "upgrade-refused"


class HandshakeDropped(ConnectionProblem):
    """The server took the TCP connection and dropped it before the WebSocket was open."""

    code = "handshake-dropped"


class HandshakeTimeout(ConnectionProblem):
    """The server took the TCP connection and then stayed silent."""

    code = "handshake-timeout"


class ConnectionLost(ConnectionProblem):
    """An open connection ended: the relay went away or said why it closed."""

    code = "connection-lost"


class PingTimeout(ConnectionLost):
    """An open connection went silent: no answer to a ping."""

    code = "ping-timeout"


class Unauthorized(ConnectionLost):
    """The relay closed the connection, which had not shown in time what opens any map to it."""

    code = "unauthorized"
