"""What a soak found: is the memory level, is anything left, as tables and as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Final

from benchmarks.plot import COLOURS, GREY, stroke, text_at
from benchmarks.table import line, number

MIB: Final = 2**20
BYTES_A_JOIN: Final = 64
"""A leak that this does not see costs less than that for each tab that ever came."""
NOISE_BYTES: Final = 4 * MIB
"""By which the memory of a process goes up and down anyhow; a short soak is judged by it."""
ROWS: Final = 12
TITLE: Final = "The relay's memory and its connections, over the minutes of a soak"

WIDTH, HEIGHT = 700, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 60, 40, 40


@dataclass(frozen=True, slots=True)
class Sample:
    """The relay at one moment.

    Attributes:
        seconds: since the beginning.
        joins: so far.
        connections: that are open.
        members: of the maps that many share.
        files: that the process has open, sockets among them.
        rss_bytes: the memory that it holds.
        cpu_seconds: that it has used.
    """

    seconds: float
    joins: int
    connections: int
    members: int
    files: int
    rss_bytes: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a soak has to show."""

    what: str
    found: str
    allowed: str
    held: bool


def growth_bytes(samples: list[Sample]) -> float:
    """By how much the memory grew in the second half: the median of the slopes between any two
    samples, over the time of that half.
    """
    half = samples[len(samples) // 2 :]
    slopes = [
        (b.rss_bytes - a.rss_bytes) / (b.seconds - a.seconds)
        for a, b in combinations(half, 2)
        if b.seconds > a.seconds
    ]
    return median(slopes) * (half[-1].seconds - half[0].seconds) if slopes else 0.0


def allowed_bytes(samples: list[Sample]) -> float:
    """By how much it may have grown."""
    half = samples[len(samples) // 2 :]
    joins = half[-1].joins - half[0].joins if half else 0
    return max(NOISE_BYTES, BYTES_A_JOIN * joins)


def checks_of(
    samples: list[Sample],
    *,
    equal: bool,
    connections: int,
    members: int,
    files: tuple[int, int],
    ended_seconds: float,
    errors: int,
    not_joined: int,
) -> list[Check]:
    """All that a soak has to show.

    Args:
        samples: of the time when tabs came.
        equal: whether the real clients had equal maps at the end.
        connections, members: that were left when all had gone.
        files: that were open before the first tab and after the last.
        ended_seconds: how long the relay took to end.
        errors: in its log and in those of the clients.
        not_joined: tabs that meant well, and could not join.
    """
    grown, allowed = growth_bytes(samples), allowed_bytes(samples)
    before, after = files

    def at_most(what: str, found: int, most: int = 0) -> Check:
        return Check(what, f"{found:,}", f"{most:,}", found <= most)

    return [
        Check(
            "growth of the memory in the second half",
            f"{grown / MIB:.2f} MiB",
            f"{allowed / MIB:.2f} MiB",
            grown <= allowed,
        ),
        at_most("open files when all have gone", after, before),
        at_most("connections when all have gone", connections),
        at_most("members when all have gone", members),
        at_most("tabs that could not join", not_joined),
        at_most("errors in the logs", errors),
        Check("the real clients' maps", "equal" if equal else "not equal", "equal", equal),
        Check("the relay's end", f"{ended_seconds:.1f} s", "10 s", ended_seconds <= 10),
    ]


def report(samples: list[Sample], checks: list[Check], counts: dict[str, int]) -> str:
    """All of it in Markdown."""
    return "\n".join([*_table(samples), "", *_checks(checks), *_counts(samples, counts)]) + "\n"


def _table(samples: list[Sample]) -> Iterator[str]:
    yield line(["minutes", "joins", "connections", "members", "open files", "memory, MiB"])
    yield "|" + "---:|" * 6
    step = max(1, -(-len(samples) // ROWS))
    for sample in [*samples[step - 1 :: step]]:
        yield line(
            [
                f"{sample.seconds / 60:.1f}",
                f"{sample.joins:,}",
                f"{sample.connections:,}",
                f"{sample.members:,}",
                f"{sample.files:,}",
                f"{sample.rss_bytes / MIB:.1f}",
            ]
        )


def _checks(checks: list[Check]) -> Iterator[str]:
    if not checks:
        return
    yield line(["what", "found", "allowed", ""])
    yield "|---|---:|---:|---|"
    for check in checks:
        yield line(
            [check.what, check.found, check.allowed, "held" if check.held else "**not held**"]
        )
    yield ""


def _counts(samples: list[Sample], counts: dict[str, int]) -> Iterator[str]:
    now = ("tabs", "members", "census lost")  # not of the whole time
    told = ", ".join(
        f"{name} {count:,}" for name, count in sorted(counts.items()) if count and name not in now
    )
    yield f"Counted: {told}."
    if samples and samples[-1].seconds:
        share = samples[-1].cpu_seconds / samples[-1].seconds
        yield f"The relay used {number(100 * share)} % of one core."


def draw(samples: list[Sample]) -> str:
    """The memory and the connections over the minutes, as an SVG."""
    minutes = max(samples[-1].seconds / 60, 1e-9)
    lines = {
        "memory, MiB": [each.rss_bytes / MIB for each in samples],
        "connections": [float(each.connections) for each in samples],
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{TITLE}" font-family="sans-serif" font-size="12" fill="{GREY}">',
        text_at((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "minutes", "middle"),
    ]
    for part in range(6):
        at = LEFT + (WIDTH - LEFT - RIGHT) * part / 5
        parts.append(stroke(at, TOP, at, HEIGHT - BOTTOM))
        parts.append(text_at(at, HEIGHT - BOTTOM + 16, f"{minutes * part / 5:.3g}", "middle"))
    for side, (name, values) in enumerate(lines.items()):
        parts += _line(side, name, [each.seconds / 60 / minutes for each in samples], values)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _line(side: int, name: str, places: list[float], values: list[float]) -> Iterator[str]:
    """A line with an axis of its own, on the left or on the right, that begins at 0."""
    top = max(*values, 1.0) * 1.15
    at, anchor = ((LEFT - 8, "end"), (WIDTH - RIGHT + 8, "start"))[side]
    for part in range(5):
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part / 4
        yield text_at(at, y + 4, f"{top * part / 4:.0f}", anchor)
        if side == 0:
            yield stroke(LEFT, y, WIDTH - RIGHT, y)
    across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    path = " ".join(
        f"{LEFT + across * x:.1f},{HEIGHT - BOTTOM - up * y / top:.1f}"
        for x, y in zip(places, values, strict=True)
    )
    colour = COLOURS[side]
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    label_at = (LEFT, WIDTH - RIGHT)[side]
    yield f'<g fill="{colour}">{text_at(label_at, 24, name, ("start", "end")[side], 13)}</g>'
