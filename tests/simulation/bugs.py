"""All planted bugs: each a small fault in the core that the simulator has to find."""

from __future__ import annotations

from tests.simulation import (
    bugs_of_absence,
    bugs_of_batches,
    bugs_of_relay,
    bugs_of_talk,
    bugs_of_writes,
)
from tests.simulation.planting import BUGS, planted

__all__ = [
    "BUGS",
    "bugs_of_absence",
    "bugs_of_batches",
    "bugs_of_relay",
    "bugs_of_talk",
    "bugs_of_writes",
    "planted",
]
