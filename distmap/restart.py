"""How a relay ends a connection, and when to come back: the reason of its close frame says so.

All who lose a relay at one moment would come back at one moment. So the relay gives each peer a
time of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import cycle
from typing import Final

from distmap.errors import ConnectionLost, Unauthorized

SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013
UNAUTHORIZED: Final = 4401
"""Nothing was shown in time that lets this connection in anywhere."""
GOING_DOWN: Final = "the relay is going down"

FIRST_RETURN_MS: Final = 1_000
"""When the first peer comes back: about as long as a relay takes to start."""
RETURNS_A_SECOND: Final = 200
"""How many come back in a second; it also has to hand their maps' syncs on."""
WINDOW_MS: Final = 60_000
"""Within which all come back, however many there are."""
MAX_RETRY_MS: Final = 120_000
"""What a client takes for a time to wait; a longer one is no word of a relay."""

_RETRY: Final = re.compile(r"(?:\A|[ ;])retry_ms=([0-9]{1,6})\Z", re.ASCII)


def return_times_ms(peers: int) -> Iterator[int]:
    """When each of the peers comes back; without end, for those that come while the relay goes."""
    peers = max(1, peers)
    window_ms = min(WINDOW_MS, peers * 1000 // RETURNS_A_SECOND)
    return cycle(FIRST_RETURN_MS + window_ms * at // peers for at in range(peers))


def with_retry(reason: str, retry_ms: int) -> str:
    """The reason of a close frame that tells the peer when to come back."""
    return f"{reason}; retry_ms={retry_ms}"


def retry_seconds(code: int | None, reason: str | None) -> float | None:
    """What the relay said of when to come back.

    Args:
        code: of the close frame.
        reason: its text.

    Returns:
        None if it said nothing, or nothing that makes sense.
    """
    if code not in (SERVICE_RESTART, TRY_AGAIN_LATER):
        return None
    found = _RETRY.search(reason or "")
    if found is None or int(found[1]) > MAX_RETRY_MS:
        return None
    return int(found[1]) / 1000


def lost(code: int | None, reason: str | None) -> ConnectionLost:
    """Why there is no connection any more, from a close frame that came.

    Args:
        code: of the close frame; None if there was none.
        reason: its text.
    """
    kind = Unauthorized if code == UNAUTHORIZED else ConnectionLost
    problem = kind(f"the connection was closed with {code}" + (f": {reason}" if reason else ""))
    problem.close_code = code
    problem.retry_seconds = retry_seconds(code, reason)
    return problem
