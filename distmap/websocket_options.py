"""What both ends of a WebSocket take, and how long they wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Timer:
    """Autobahn's timers, on the reactor it was given and at the time it asks for: its own run on
    the reactor of the process, and up to a second early.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor

    def call_later(
        self, seconds: float, call: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> IDelayedCall:
        return self._reactor.callLater(seconds, call, *args, **kwargs)


@dataclass(frozen=True, slots=True)
class WebSocketOptions:
    """What either side of a WebSocket takes and how long it waits.

    Attributes:
        message_bytes: the largest message, and the largest frame.
        handshake_seconds: for the opening handshake.
        close_seconds: for the closing handshake.
        ping_seconds: between a sign of life and the next ping.
        pong_seconds: for the answer to a ping.
        message_fragments: the frames that one message may be in (at the relay's end).
        message_seconds: within which a message that has begun must have come (likewise). One that
            comes right behind others may take up to twice as long.
        compression: whether the relay lets a peer compress what it sends. A message is bounded by
            message_bytes after it was inflated; what the relay sends is never compressed.
    """

    message_bytes: int = 4 * 1024 * 1024
    handshake_seconds: float = 10
    close_seconds: float = 2
    ping_seconds: float = 15
    pong_seconds: float = 10
    message_fragments: int = 1024
    message_seconds: float = 60
    compression: bool = False

    def apply(self, factory: Any, reactor: IReactorTime) -> None:
        """Sets a factory of Autobahn up; its timers run on the given reactor."""
        factory._batched_timer = Timer(reactor)
        factory.setProtocolOptions(
            maxFramePayloadSize=self.message_bytes,
            maxMessagePayloadSize=self.message_bytes,
            openHandshakeTimeout=self.handshake_seconds,
            closeHandshakeTimeout=self.close_seconds,
            autoPingInterval=self.ping_seconds,
            autoPingTimeout=self.pong_seconds,
            autoPingRestartOnAnyTraffic=True,
            tcpNoDelay=True,
            failByDrop=False,
            utf8validateIncoming=False,  # onMessage() does, in a fraction of the time
        )
