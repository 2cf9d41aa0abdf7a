"""The status of a connection or of a map, and why it is so."""

from __future__ import annotations

from typing import Final

from distmap.errors import DistMapError

CONNECTING: Final = "connecting"
OPEN: Final = "open"
OFFLINE: Final = "offline"
READY: Final = "ready"
CLOSED: Final = "closed"


class Status(str):
    """A status, and why: it equals its plain text.

    Attributes:
        reason: in words why there is no connection; empty if there is one.
        code: the short name of the reason, such as ``upgrade-refused``; empty if there is none.
    """

    reason: str
    code: str

    def __new__(cls, text: str, problem: DistMapError | None = None) -> Status:
        status = super().__new__(cls, text)
        status.reason = str(problem or "")
        status.code = problem.code if problem is not None else ""
        return status
