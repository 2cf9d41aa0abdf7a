"""Lines over a size, as an SVG that is readable on a light and on a dark page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from pathlib import Path

from benchmarks.frame import Plot, Result, Row

WIDTH, HEIGHT = 700, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 240, 40, 50
GREY = "#888888"
COLOURS = ("#2f80c8", "#d9822b", "#3d9a50", "#c2508b", "#8a6bd1", "#7a8a1f", "#c94f3d", "#2a9d9d")
PREFIXES = ((1e6, "M"), (1e3, "k"), (1, ""))

Points = list[tuple[float, float]]


def draw(row: Row, results: list[Result], folder: Path) -> None:
    """Writes the plots of a row into a folder; a plot without two points is left as it was."""
    for plot in row.plots:
        lines = lines_of(plot, results)
        if any(len(points) > 1 for points in lines.values()):
            (folder / f"{plot.file}.svg").write_text(svg(plot, lines), "utf-8")


def lines_of(plot: Plot, results: list[Result]) -> dict[str, Points]:
    """The medians by system, in the order of their sizes."""
    lines: dict[str, Points] = {}
    for result in results:
        median = result.median(plot.metric.name)
        if result.case.x is not None and median is not None and median > 0:
            lines.setdefault(result.case.system, []).append((result.case.x, median))
    return {system: sorted(points) for system, points in lines.items()}


class Scale:
    """A logarithmic axis of whole decades.

    Args:
        values: what it has to hold; all are greater than 0.
        start, end: where it begins and ends in the picture.
    """

    def __init__(self, values: list[float], start: float, end: float) -> None:
        self._low = math.floor(math.log10(min(values)) + 1e-9)
        self._high = max(math.ceil(math.log10(max(values)) - 1e-9), self._low + 1)
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        """Where a value stands."""
        part = (math.log10(value) - self._low) / (self._high - self._low)
        return self._start + part * (self._end - self._start)

    def ticks(self) -> list[float]:
        """The decades."""
        return [10.0**power for power in range(self._low, self._high + 1)]


def short(value: float) -> str:
    """A decade in few letters."""
    for size, prefix in PREFIXES:
        if value >= size:
            return f"{value / size:g}{prefix}"
    return f"{value:g}"


def svg(plot: Plot, lines: dict[str, Points]) -> str:
    """The picture as text."""
    points = [point for each in lines.values() for point in each]
    x = Scale([point[0] for point in points], LEFT, WIDTH - RIGHT)
    y = Scale([point[1] for point in points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(plot.title)}" font-family="sans-serif" font-size="12"'
        f' fill="{GREY}">',
        text_at(LEFT, 20, plot.title, size=14),
        text_at((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, plot.x, "middle"),
        *_grid(x, y),
    ]
    for number, (system, line) in enumerate(lines.items()):
        parts += _line(number, system, [(x.at(a), y.at(b)) for a, b in line])
    return "\n".join([*parts, "</svg>"]) + "\n"


def _grid(x: Scale, y: Scale) -> Iterator[str]:
    for value in x.ticks():
        at = x.at(value)
        yield stroke(at, TOP, at, HEIGHT - BOTTOM)
        yield text_at(at, HEIGHT - BOTTOM + 18, short(value), "middle")
    for value in y.ticks():
        at = y.at(value)
        yield stroke(LEFT, at, WIDTH - RIGHT, at)
        yield text_at(LEFT - 8, at + 4, short(value), "end")


def _line(number: int, system: str, points: Points) -> Iterator[str]:
    colour = COLOURS[number % len(COLOURS)]
    dash = ' stroke-dasharray="6 3"' if number >= len(COLOURS) // 2 else ""
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
    for a, b in points:
        yield f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>'
    at = TOP + 10 + number * 18
    left = WIDTH - RIGHT + 16
    yield (
        f'<line x1="{left}" y1="{at}" x2="{left + 20}" y2="{at}" stroke="{colour}"'
        f' stroke-width="2"{dash}/>'
    )
    yield text_at(left + 26, at + 4, system)


def stroke(x1: float, y1: float, x2: float, y2: float) -> str:
    """A thin line."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{GREY}"'
        ' stroke-opacity="0.3"/>'
    )


def text_at(x: float, y: float, text: str, anchor: str = "start", size: int = 12) -> str:
    """A text; the anchor is `start`, `middle` or `end`."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
        f"{escape(text)}</text>"
    )
