"""Draws the states of a stream from distmap.states.TRANSITIONS.

``python docs/_generate/stream_states.py`` writes docs/stream-states.svg and the table in
docs/design.md.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from distmap.states import TRANSITIONS, Move, State

DOCS = Path(__file__).resolve().parent.parent
PICTURE = DOCS / "stream-states.svg"
PAGE = DOCS / "design.md"
BEGIN = "<!-- begin: stream states, made by docs/_generate/stream_states.py -->"
END = "<!-- end: stream states -->"

# Where each state stands: the middle of its box. A new state needs a place here.
PLACES = {
    State.OPEN: (100, 150),
    State.RECEIVING: (400, 50),
    State.SENDING: (400, 250),
    State.CLOSED: (700, 150),
}
WIDTH, HEIGHT = 800, 300
BOX_WIDTH, BOX_HEIGHT = 160, 50
LINE_HEIGHT = 15


def moves(start: State, end: State) -> list[str]:
    """What leads from one state to another; what either side may do is told in one line."""
    found = [move.value for move, state in TRANSITIONS[start].items() if state is end]
    for what in [move.removeprefix("send ") for move in found if move.startswith("send ")]:
        if f"receive {what}" in found:
            found[found.index(f"send {what}")] = f"send or receive {what}"
            found.remove(f"receive {what}")
    return found


def table() -> str:
    """The transitions as a Markdown table."""
    lines = [
        "| What happens | " + " | ".join(f"in `{state.value}`" for state in State) + " |",
        "|---" * (len(State) + 1) + "|",
    ]
    for move in Move:
        cells = [TRANSITIONS[state].get(move) for state in State]
        texts = ["error" if cell is None else f"`{cell.value}`" for cell in cells]
        lines.append(f"| {move.value} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def picture() -> str:
    """The transitions as an SVG picture."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        "<title>The states of a stream</title>",
        '<defs><marker id="tip" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
        '<path d="M0,0 L9,4 L0,8 z" fill="#444"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for start in State:
        for end in State:
            if start is not end and moves(start, end):
                parts += _arrow(start, end)
    for state in State:
        parts += _box(state)
    return "\n".join([*parts, "</svg>", ""])


def _box(state: State) -> list[str]:
    x, y = PLACES[state]
    stays = ", ".join(moves(state, state))
    return [
        f'<rect x="{x - BOX_WIDTH // 2}" y="{y - BOX_HEIGHT // 2}" width="{BOX_WIDTH}"'
        f' height="{BOX_HEIGHT}" rx="10" fill="#eef3fa" stroke="#345"/>',
        _text(x, y - 2 if stays else y + 4, state.value, 'font-weight="bold" font-size="14"'),
        *([_text(x, y + 17, stays, 'font-size="10"')] if stays else []),
    ]


def _arrow(start: State, end: State) -> list[str]:
    (x1, y1), (x2, y2) = PLACES[start], PLACES[end]
    right = 1 if x2 > x1 else -1
    x1, x2 = x1 + right * BOX_WIDTH // 2, x2 - right * BOX_WIDTH // 2
    labels = moves(start, end)
    middle_x, middle_y = (x1 + x2) // 2, (y1 + y2) // 2
    anchor = "middle"
    if y1 == y2:
        middle_y -= LINE_HEIGHT * len(labels) - 8
    else:  # on the outer side of the line
        top = min(y1, y2) < min(PLACES[State.OPEN][1], PLACES[State.CLOSED][1])
        middle_y += -LINE_HEIGHT * len(labels) if top else LINE_HEIGHT + 8
        anchor = "end" if start is State.OPEN else "start"
    return [
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#444" marker-end="url(#tip)"/>',
        *(
            _text(middle_x, middle_y + LINE_HEIGHT * at, label, anchor=anchor)
            for at, label in enumerate(labels)
        ),
    ]


def _text(x: int, y: int, text: str, style: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" {style}>{escape(text)}</text>'


def page(text: str) -> str:
    """The page with the table in its place."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has no place for the table: {BEGIN} … {END}")
    return f"{before}{begin}\n\n{table()}\n\n{end}{after}"


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
