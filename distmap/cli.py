"""The command line: one key of a map set, got or deleted, or the whole map shown or watched."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from math import isfinite
from typing import Any, NoReturn

import msgspec
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver

from distmap import Change, Connection, DistributedMap, __version__, connect, errors, values

DEFAULT_TIMEOUT_SECONDS = 10.0
HOPELESS = {errors.AccessRefused.code, errors.VersionMismatch.code}
"""Why a map does not become ready, and never will."""


class Failed(Exception):
    """The command failed; the text is for the user."""


# -- arguments ------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and ends the process: with 0, with 1 and one line that says what failed, or
    with 2 if the command line is wrong.

    Args:
        argv: the arguments without the program's name; those of the process if None.
    """
    arguments = _parse(argv)
    observers = [textFileLogObserver(sys.stderr)] if arguments.verbose else []
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False, discardBuffer=True)
    command = _Command(arguments)
    react(command.run)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="distmap",
        description="Reads and writes a distributed map. Values are JSON.",
        epilog="Put -- before a key or a value that begins with a dash.",
    )
    parser.add_argument("--version", action="version", version=f"distmap {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="how long to wait for the relay and for the map (default: %(default)g)",
    )
    common.add_argument("--verbose", action="store_true", help="show the log on stderr")
    common.add_argument("url", metavar="URL", help="the relay's, ws:// or wss://")
    common.add_argument("uri", metavar="URI", help="names the map")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, what: str, *takes: str) -> None:
        command = commands.add_parser(name, parents=[common], help=what, description=f"{what}.")
        if "key" in takes:
            command.add_argument("key", metavar="KEY", type=_key)
        if "value" in takes:
            command.add_argument("value", metavar="VALUE", type=_value, help="JSON")

    add("set", "sets a key; the value lives as long as one peer has the map open", "key", "value")
    add("get", "prints the value of a key, as JSON", "key")
    add("delete", "deletes a key", "key")
    add("dump", "prints the whole map, as one JSON object")
    add("watch", "prints each change, as one line of JSON, until interrupted")
    arguments = parser.parse_args(argv)
    arguments.parser = parser
    return arguments


def _seconds(text: str) -> float:
    seconds = float(text)
    if not (isfinite(seconds) and seconds > 0):
        raise argparse.ArgumentTypeError("a time is a number of seconds above 0")
    return seconds


def _key(text: str) -> str:
    try:
        return values.check_key(text)
    except errors.InvalidKey as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _value(text: str) -> Any:
    try:
        return values.decode(values.canonical(text.encode()))
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("a value is UTF-8") from None
    except (errors.InvalidValue, errors.InvalidType) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


# -- commands -------------------------------------------------------------------------------------


class _Command:
    """One run of the program.

    Args:
        arguments: of the command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._map: DistributedMap
        self._deadline: IDelayedCall | None = None
        self._awaited: Deferred[Any] | None = None

    def run(self, reactor: Any) -> Deferred[None]:
        """Runs it; errbacks with SystemExit if it failed."""
        arguments = self._arguments
        self._reactor = reactor
        try:
            self._connection: Connection = connect(reactor, arguments.url)
        except errors.InvalidValue as error:
            arguments.parser.error(str(error))
        except ImportError as error:
            sys.exit(f"distmap: wss:// needs the extra 'tls': {error}")
        done = ensureDeferred(self._run())
        # Interrupted: what was waited for is given up, and the reactor waits for the tidying up.
        reactor.addSystemEventTrigger("before", "shutdown", lambda: self._give_up() or done)
        return done
