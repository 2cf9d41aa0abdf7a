"""What the core is known not to do right yet: each stands here alone, and its check waits for it.

Set one to True to see the seeds that fail. When all are True this module goes away.
"""

from __future__ import annotations

from typing import Final

HOGS: Final = False
"""The relay does without newcomers that never finish: they would hold their donors for ever."""
RETENTION: Final = False
"""Replicas stay equal also when somebody comes back after tombstones were collected."""
TELLS_HELD_AGAIN: Final = False
"""A map tells that entries went, which a wrong clock had let in from the future."""
