"""Writing to a transport without the detour that a reactor takes, and not far ahead of the peer."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any, Final

from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper

UNSENT_BYTES: Final = 128 * 1024
_UNSENT_OPTION: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)


def bound_unsent(transport: Any) -> None:
    """Lets the system take only so much more than what is on its way to the peer.

    By itself it takes megabytes for each connection. What is there waits behind no bound of ours,
    is thrown away by nobody, and with many that read nothing it costs everybody the time to copy
    it. What is on its way is left to TCP, so a long way is as fast as before. It is done where
    the system can: not on a UNIX socket, nor on Windows.
    """
    while isinstance(transport, ProtocolWrapper):  # as TLS is one
        transport = transport.transport
    if _UNSENT_OPTION is not None and isinstance(transport, Connection):
        with suppress(OSError):
            transport.getHandle().setsockopt(socket.IPPROTO_TCP, _UNSENT_OPTION, UNSENT_BYTES)


def write_now(transport: Any, data: bytes) -> None:
    """Writes to a transport. A TCP connection that has nothing to send tries its socket at once: to
    wait until the reactor finds it writable costs more than all the rest.
    """
    idle = isinstance(transport, Connection) and not (
        transport.dataBuffer or transport._tempDataBuffer or transport.TLS
    )
    if idle and transport.connected and not transport.disconnecting:
        written = transport.writeSomeData(data)
        if isinstance(written, int):  # else it is lost, and will find out by itself
            data = data[written:]
    if data:
        transport.write(data)
