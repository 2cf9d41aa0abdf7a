"""The command line: a key of a map set, got or deleted, or the whole map dumped or watched."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn, TypeVar

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, ensureDeferred, succeed
from twisted.internet.task import react
from twisted.logger import Logger, globalLogBeginner, textFileLogObserver

from distmap import (
    Change,
    Connection,
    DistributedMap,
    Status,
    __version__,
    arguments,
    connect,
    values,
)
from distmap.errors import AccessRefused, CredentialsFailed, InvalidValue, VersionMismatch
from distmap.relay_status import add_status, run_status
from distmap.ticket_command import add_ticket, run_ticket

T = TypeVar("T")
_log = Logger()

DEFAULT_TIMEOUT_SECONDS: Final = 10.0
HOPELESS: Final = {AccessRefused.code, CredentialsFailed.code, VersionMismatch.code}
"""Why a map is not ready, and will not be however long we wait."""

EPILOG = "Put -- before a key or a value that begins with a dash."


class Failed(Exception):
    """The command failed; the text tells the user why."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs one command and ends the process: with 0, with 1 and one line on stderr if it failed,
    with 2 if the command line is wrong.

    Args:
        argv: the arguments, without the program's name; those of the process if None.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    observers = [textFileLogObserver(sys.stderr)] if options.verbose else []
    globalLogBeginner.beginLoggingTo(observers, discardBuffer=True, redirectStandardIO=False)
    run = {"ticket": _run_ticket, "status": run_status}.get(options.command, _run)
    react(lambda reactor: run(reactor, parser, options))


def _run_ticket(
    reactor: Any, parser: argparse.ArgumentParser, options: argparse.Namespace
) -> Deferred[None]:
    try:
        text = run_ticket(options, reactor.seconds())
    except (InvalidValue, OSError) as error:
        sys.exit(f"distmap: {error}")
    if text:
        _print(text.encode())
    return succeed(None)


def _run(
    reactor: Any, parser: argparse.ArgumentParser, options: argparse.Namespace
) -> Deferred[None]:
    """Runs the command; errbacks with SystemExit if it failed."""

    async def run() -> None:
        try:
            await command.run()
        except Exception as error:
            if not isinstance(error, Failed):
                _log.failure("a defect of distmap")
            problem = " ".join(str(error).split()) or repr(error)
            print(f"distmap: {problem}", file=sys.stderr)
            raise SystemExit(1) from None

    try:
        shown = arguments.credentials(options.credentials)
        connection = connect(reactor, options.url, credentials=shown)
    except InvalidValue as error:
        parser.error(str(error))
    except ImportError as error:
        sys.exit(f"distmap: wss:// needs Twisted's TLS, as in distmap[tls]: {error}")
    try:
        command = _Command(connection, options)
    except InvalidValue as error:
        connection.close()
        parser.error(str(error))
    done = ensureDeferred(run())

    def interrupted() -> Deferred[None]:
        command.interrupt()
        return done

    reactor.addSystemEventTrigger("before", "shutdown", interrupted)
    return done


# -- arguments ------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="distmap", description="Reads and writes a distributed map. Values are JSON."
    )
    parser.add_argument("--version", action="version", version=f"distmap {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, what: str, *takes: str) -> None:
        command = commands.add_parser(name, help=what, description=f"{what}.", epilog=EPILOG)
        command.add_argument("url", metavar="URL", help="of the relay: ws:// or wss://")
        command.add_argument("uri", metavar="URI", help="names the map")
        if "key" in takes:
            command.add_argument("key", metavar="KEY", type=arguments.key)
        if "value" in takes:
            command.add_argument("value", metavar="VALUE", type=arguments.value, help="JSON")
        command.add_argument(
            "--timeout",
            metavar="SECONDS",
            type=arguments.seconds,
            default=DEFAULT_TIMEOUT_SECONDS,
            help="how long to wait for the relay and the map (default: %(default)g)",
        )
        command.add_argument(
            "--credentials",
            metavar="FILE",
            help="of a file with what to show to the relay, such as a ticket"
            f" (default: what is in the environment as {arguments.CREDENTIALS_VARIABLE})",
        )
        command.add_argument("--verbose", action="store_true", help="show the log on stderr")

    add("set", "Sets a key; the value lives as long as a peer has the map open", "key", "value")
    add("get", "Prints the value of a key as JSON", "key")
    add("delete", "Deletes a key", "key")
    add("dump", "Prints the whole map as one JSON object")
    add("watch", "Prints each change as a line of JSON, until interrupted")
    add_ticket(commands)
    add_status(commands, arguments.seconds, DEFAULT_TIMEOUT_SECONDS)
    return parser


# -- commands -------------------------------------------------------------------------------------


class _Command:
    """One run of a command.

    Args:
        connection: is closed at its end.
        options: of the command line.

    Raises:
        InvalidValue: no map can have that URI.
    """

    def __init__(self, connection: Connection, options: argparse.Namespace) -> None:
        self._connection = connection
        self._options = options
        self._deadline = connection.reactor.seconds() + options.timeout
        self._awaited: Deferred[Any] | None = None
        self._interrupted = False
        self._hopeless: Status | None = None
        self._map = DistributedMap(connection, options.uri)
        self._map.on("status", self._status_changed)

    async def run(self) -> None:
        """Runs it.

        Raises:
            Failed: it failed.
        """
        try:
            await getattr(self, f"_{self._options.command}")()
        except BrokenPipeError:
            # Who read the output has gone. Python would complain when it flushes at the exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            raise Failed(str(error)) from None
        finally:
            await self._connection.close()

    def interrupt(self) -> None:
        """Gives up what is waited for."""
        self._interrupted = True
        self._cancel()

    def _cancel(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()

    def _status_changed(self, status: Status) -> None:
        if status.code in HOPELESS:
            self._hopeless = status
            self._cancel()

    # Each waits for the map first. To write without would be quicker, but a write has to be later
    # than all that it replaces, and to know of what there is to delete.

    async def _set(self) -> None:
        await self._ready()
        await self._wait(self._map.set(self._options.key, self._options.value))
        if not self._map.peers:
            uri = self._options.uri
            print(f"distmap: nobody else has {uri} open: the value is gone", file=sys.stderr)

    async def _get(self) -> None:
        await self._ready()
        _print(values.encode(self._map[self._known_key()]))

    async def _delete(self) -> None:
        await self._ready()
        await self._wait(self._map.delete(self._known_key()))

    async def _dump(self) -> None:
        await self._ready()
        items = [
            b"%b:%b" % (values.encode(key), values.encode(value))
            for key, value in sorted(self._map.items())
        ]
        _print(b"{%b}" % b",".join(items))

    async def _watch(self) -> None:
        ended: Deferred[None] = Deferred()

        def changed(change: Change) -> None:
            try:
                _print(_line(change))
            except OSError as error:
                if not ended.called:
                    ended.errback(error)

        self._map.observe(changed)
        try:
            await self._ready()
            self._awaited = ended
            await ended
        except (CancelledError, Failed):
            if not self._interrupted:
                raise

    def _known_key(self) -> str:
        key: str = self._options.key
        if key not in self._map:
            raise Failed(f"no key {key!r} in {self._options.uri}")
        return key

    # -- waiting ----------------------------------------------------------------------------------

    async def _ready(self) -> None:
        await self._wait(self._map.ready())

    async def _wait(self, deferred: Deferred[T]) -> T:
        """What a Deferred fires with, until the time is up.

        Raises:
            Failed: it was not in time, or never will be.
        """
        reactor = self._connection.reactor
        self._awaited = deferred
        try:
            return await deferred.addTimeout(max(0, self._deadline - reactor.seconds()), reactor)
        except (CancelledError, TimeoutError):
            raise Failed(self._why_not()) from None
        finally:
            self._awaited = None

    def _why_not(self) -> str:
        url, uri = self._options.url, self._options.uri
        if self._interrupted:
            return "interrupted"
        if self._hopeless is not None:
            bare = self._connection.credentials is None and self._hopeless.code == "refused"
            return f"{uri}: {self._hopeless.reason}" + ("; see --credentials" if bare else "")
        connection, shared = self._connection.status, self._map.status
        if connection != "open":
            return f"no connection to {url}: {connection.reason or 'no answer'}"
        return f"{uri} took too long: {shared.reason or 'it is ' + shared}"


def _line(change: Change) -> bytes:
    event: dict[str, Any] = {"event": "delete" if change.deleted else "set", "key": change.key}
    if not change.deleted:
        event["value"] = change.value
    event |= {"writer": change.writer, "time_ms": change.time_ms}
    return b"{%b}" % b",".join(
        b"%b:%b" % (values.encode(name), values.encode(value)) for name, value in event.items()
    )


def _print(text: bytes) -> None:
    sys.stdout.buffer.write(text + b"\n")
    sys.stdout.buffer.flush()
