"""What a seed decides before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from random import Random
from typing import Any, Final

# Kinds of faults, and how many of one kind at most come in one run.
FAULTS: Final[dict[str, int]] = {
    "cut": 8,
    "half-open": 3,
    "stall": 3,
    "slow way": 3,
    "partition": 3,
    "sleep": 2,
    "absence": 1,
    "long partition": 1,
    "client crash": 2,
    "client close": 2,
    "map close": 3,
    "relay crash": 3,
    "relay stop": 1,
    "clock jump": 2,
    "hostile echo": 1,
    "hostile junk": 1,
    "hostile future": 1,
    "hostile crowd": 1,
    "mute donor": 1,
    "lying donor": 1,
    "plausible donor": 1,
    "deserting donor": 2,
}

# Sizes of the code, made so small that a small map meets all of them.
SCALES: Final[dict[tuple[str, ...], tuple[int, ...]]] = {
    ("donors.MAX_SERVING",): (1, 2, 4),
    ("hub.PROMPT_MEMBERS",): (1, 64),
    ("channel.SENDERS_TOGETHER",): (1, 2, 32),
    ("frames.MESSAGE_BYTES", "outbox.MESSAGE_BYTES"): (300, 256 * 1024),
    ("sync_wire.CHUNK_BYTES", "sync_donor.CHUNK_BYTES", "outbox.CHUNK_BYTES"): (300, 2000, 65536),
    ("outbox.WINDOW_BYTES",): (500, 5000, 1024 * 1024),
    ("sync.SPLIT_ABOVE",): (1, 4, 32),
    ("sync.GATHER",): (4, 50, 2048),
    ("sync.WINDOW",): (1, 4),
    ("ranges.LEAF_KEYS",): (2, 64),
    ("conversation.FOLD_KEYS",): (10, 2000),
    ("holding.MAX_HELD",): (5, 1000),
    ("holding.MAX_HELD_PER_WRITER",): (3, 100),
    ("absence.STEP_WRITES",): (1, 3, 1000),
    ("doubts.STEP_ENTRIES",): (1, 3, 1000),
    ("correction.STEP_ENTRIES",): (1, 3, 1000),
    ("correction.STEP_HELD",): (1, 100),
}

MINUTE: Final = 60.0
DAY: Final = 86_400.0
YEAR: Final = 365 * DAY


@dataclass
class Plan:
    """One run.

    Attributes:
        machines: how many at the beginning.
        uris: how many maps.
        seconds: how long faults come.
        operations: how many writes of the programs, about.
        preload: keys that are there at the beginning.
        faults: how many of each kind.
        retention_seconds: how long tombstones are kept.
        twins: whether two machines draw the same numbers, and so have one writer's id.
        skews: seconds that each machine's clock is ahead.
        latency_ms: least and most time on the way.
        fragment: how often a delivery is cut.
        high_water_bytes: what a connection takes before the relay has to wait.
        queue_bytes: what the relay queues: more than one answer of a sync, or nobody could sync.
        stall_seconds: how long its queue may stand still.
        scale: sizes of the code.
    """

    seed: int
    machines: int
    uris: int
    seconds: float
    operations: int
    preload: int
    large_values: bool
    faults: dict[str, int]
    retention_seconds: float
    twins: bool
    skews: list[float]
    latency_ms: tuple[int, int]
    fragment: float
    high_water_bytes: int
    queue_bytes: int
    stall_seconds: float
    scale: dict[str, int] = field(default_factory=dict)

    def random(self, name: str) -> Random:
        """Chance of its own for one part of the run."""
        return Random(f"{self.seed}/{name}")


def skew(random: Random) -> float:
    """How wrong a clock is."""
    amount = random.choice((0.0, 0.0, 0.3, 5.0, 50.0, 10 * MINUTE, 3 * DAY, 2 * YEAR))
    return amount * random.uniform(0.5, 1.0) * random.choice((-1, 1))


def make_plan(seed: int) -> Plan:
    """The plan of a seed."""
    random = Random(f"{seed}/plan")
    machines = random.choice((2, 3, 3, 3, 4, 4, 5, 6))
    wrong_clocks = random.random() < 0.5
    rate = random.choice((0.1, 0.25, 0.25, 0.4))
    faults = {
        kind: random.randint(1, most) for kind, most in FAULTS.items() if random.random() < rate
    }
    seconds = random.choice((10.0, 25.0, 45.0))
    if "mute donor" in faults:  # these would be over before they do harm
        seconds *= 3
    if faults.keys() & {"absence", "long partition"}:
        seconds = random.choice((200.0, 320.0))
    latency = random.choice(((0, 0), (0, 3), (1, 20), (5, 50), (20, 300)))
    skews = [skew(random) if wrong_clocks else 0.0 for _ in range(machines)]
    large_values = random.random() < 0.1
    twins = random.random() < 0.15
    if twins:
        skews[1] = skews[0]
        latency = (0, 0)
    return Plan(
        seed=seed,
        machines=machines,
        uris=random.choice((1, 1, 1, 2)),
        seconds=seconds,
        operations=random.choice((8, 20, 35)),
        preload=random.choice((0, 0, 6, 40, 100)),
        large_values=large_values,
        faults=faults,
        retention_seconds=random.choice((100.0, 100.0, 30 * DAY)),
        twins=twins,
        skews=skews,
        latency_ms=latency,
        fragment=random.choice((0.0, 0.2, 0.6)),
        high_water_bytes=random.choice((200, 2000, 65536)),
        queue_bytes=random.choice((8, 1, 1)) * 1024 * (1024 if large_values else 32),
        stall_seconds=random.choice((1.0, 10.0)),
        scale={
            name: size
            for names, sizes in SCALES.items()
            for size in [random.choice(sizes)]
            for name in names
        },
    )


@contextmanager
def replaced(values: dict[str, Any]) -> Iterator[None]:
    """Gives names of the package other values for a while, such as ``donors.MAX_SERVING``."""
    before: list[tuple[object, str, Any]] = []
    try:
        for path, value in values.items():
            module, *parents, name = path.split(".")
            owner: Any = import_module(f"distmap.{module}")
            for parent in parents:
                owner = getattr(owner, parent)
            before.append((owner, name, vars(owner)[name]))
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)
