"""Planted bugs of the JavaScript client: pieces of its modules, and what to put in their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.simulation.node_process import Edit
from tests.simulation.planting import Bug, registers

NODE_BUGS: Final[dict[str, Bug]] = {}


def node_bug(*among: str) -> Callable[[Callable[[], Edit]], Callable[[], Edit]]:
    """Registers a bug of the JavaScript client; see :func:`registers`."""
    return registers(NODE_BUGS, among)


@node_bug()
def js_tie_break_off() -> Edit:
    """Of two writes with one stamp, each replica keeps the first."""
    return "entries", "if (order !== 0) return order > 0\n", "return order > 0\n"


@node_bug()
def js_counters_not_compared() -> Edit:
    """Of two writes within a millisecond, each replica keeps the first."""
    compared = "  if (a.counter !== b.counter) return a.counter < b.counter ? -1 : 1\n"
    return "clock", compared, ""


@node_bug()
def js_tombstone_ignored() -> Edit:
    """A delete by another peer leaves nothing behind."""
    taken = "    this.clock.observe(entry.stamp)\n    return this.#place(key, entry, old)\n"
    forgotten = "    if (!hasValue(entry)) this.#remove(key)\n    return update\n"
    return "lww", taken, taken.replace("return", "const update =") + forgotten


@node_bug()
def js_outbox_cleared_early() -> Edit:
    """A write is taken for acknowledged when it is sent."""
    seen = "      first.isSeen = true\n"
    return "outbox", seen, f"{seen}      this.#waiting.delete(first.key)\n"


@node_bug()
def js_outbox_not_sent_again() -> Edit:
    """After a reconnect only new writes are sent."""
    return "outbox", "    this.#putSentBefore(this.#front)\n", ""


@node_bug()
def js_hold_queue_dropped() -> Edit:
    """Entries from the future never come."""
    return "lww", "return this.held.due(this.clock).flatMap", "return [].flatMap"


@node_bug()
def js_range_never_compared() -> Edit:
    """A sixteenth of all keys is taken for equal."""
    equal = "if (isEqual(mine, theirs)) return"
    return "sync", equal, equal.replace(")) ", ') || prefix === "7") ')


@node_bug()
def js_missing_not_handed_over() -> Edit:
    """The newcomer keeps to itself what the donor lacks."""
    handed = "if (!replaced.has(key)) this.#handover.add(key)"
    return "sync", handed, "void key"


@node_bug("mute donor")
def js_silent_donor_not_replaced() -> Edit:
    """A newcomer waits for ever for a donor that says nothing."""
    return "conversation", "later(STALL_SECONDS, () =>", "later(1e6, () =>"


@node_bug()
def js_partial_frame_lost() -> Edit:
    """A frame that comes in two pieces loses the first."""
    return "frames", "const line = this.#partial + text.slice", "const line = text.slice"


@node_bug()
def js_time_asked_once() -> Edit:
    """A clock that jumps while it is connected stays wrong."""
    return "timekeeping", "if (this.online && !this.#asked) {", "if (this.online && false) {"


@node_bug("absence", "long partition")
def js_deleted_entries_not_buried() -> Edit:
    """Who brings what was deleted long ago is not told so."""
    forbids = "return hasValue(entry) && entry.stamp.ms < this.floorMs && !this.entries.has(key)"
    return "lww", forbids, "return false"


# -- what is kept on a disk ----------------------------------------------------------------------


@node_bug()
def js_unsent_writes_not_read() -> Edit:
    """A page that is loaded again does not look for what it had not sent."""
    return "loading", "this.#peer.adopt(key, entry, base)", "void [key, entry, base]"


@node_bug()
def js_said_to_be_saved_too_early() -> Edit:
    """A write is said to be kept before the disk has it."""
    return "persistence", "      this.#waiting.push(resolve)\n", "      resolve(true)\n"


@node_bug("absence")
def js_old_copy_taken_for_new() -> Edit:
    """Who is loaded again after a long time thinks that it knows of all deletes."""
    return "absence", "    this.#replica.knownMs = knownMs\n", "    this.#replica.knownMs = null\n"
