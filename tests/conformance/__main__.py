"""The command line: see :mod:`tests.conformance`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from twisted.internet import reactor

from tests.conformance.echo import Autobahn, WholeTexts, make_factory


def main() -> None:
    """Listens until it is interrupted."""
    parser = argparse.ArgumentParser("python -m tests.conformance", description=__doc__)
    parser.add_argument("--port", type=int, default=9001, help="the first of two (%(default)d)")
    port = parser.parse_args().port
    running: Any = reactor
    for kind in (WholeTexts, Autobahn):
        running.listenTCP(port, make_factory(running, kind), interface="127.0.0.1")
        sys.stdout.write(f"{kind.__name__}: ws://127.0.0.1:{port}\n")
        port += 1
    sys.stdout.flush()
    running.run()


if __name__ == "__main__":
    main()
