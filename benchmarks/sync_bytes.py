"""Prints what a rejoin costs on the wire, as a Markdown table.

Run it from the root of the repository: ``python -m benchmarks.sync_bytes``. Counted are all bytes
of the messages between the relay and the peer that rejoins, both ways together: the stream of the
sync from its opening to its end, and everything (with the channel, and the writes of the absence).
Values are 60 bytes; half of the changes were made on each side. No WebSocket or TCP headers.
"""

from __future__ import annotations

from tests.support.rejoin import measure

COUNTS = (1_000, 10_000, 100_000)
CHANGES = (0, 1, 10, 1_000)


def main() -> None:
    print("| entries | changed | bytes of the sync | bytes in all |")
    print("|---|---|---|---|")
    for count in COUNTS:
        for changed in CHANGES:
            cost = measure(count, changed)
            print(f"| {count:,} | {changed:,} | {cost.sync:,} | {cost.everything:,} |", flush=True)


if __name__ == "__main__":
    main()
