"""Writing to a transport without the detour that a reactor takes."""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Connection


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
