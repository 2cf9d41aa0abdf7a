"""Prints how large the browser client is: as it is served, and with gzip.

Run it from the root of the repository: ``python -m benchmarks.js_size``. The relay serves the
modules without compression. With gzip they are counted one by one, as a web server that compresses
sends them, and together. Comments are in; nothing is minified.
"""

from __future__ import annotations

import gzip
from pathlib import Path

WEB = Path(__file__).resolve().parent.parent / "distmap" / "web"


def main() -> None:
    """Prints a Markdown table."""
    sources = [path.read_bytes() for path in [WEB / "distmap.js", *sorted(WEB.glob("js/*.js"))]]
    together = b"".join(sources)
    print("| Modules | Bytes | gzip, each | gzip, together |")
    print("|---|---|---|---|")
    each = sum(len(gzip.compress(source, mtime=0)) for source in sources)
    whole = len(gzip.compress(together, mtime=0))
    print(f"| {len(sources)} | {len(together):,} | {each:,} | {whole:,} |")


if __name__ == "__main__":
    main()
