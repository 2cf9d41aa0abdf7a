"""The command ``distmap ticket``: makes tickets, and keys to sign them."""

from __future__ import annotations

import argparse
from typing import Any, Final

from distmap import arguments
from distmap.access import READ, WRITE
from distmap.errors import InvalidValue

DESCRIPTION: Final = """Prints a ticket that lets its bearer in to some maps of a relay which runs
with --auth tickets:KEYFILE, until it expires. Who has it can use it: hand it out over TLS only."""


def add_ticket(commands: Any) -> None:
    """Adds the command to the parser's."""
    command: argparse.ArgumentParser = commands.add_parser(
        "ticket", help="Makes a ticket for a relay that asks for one", description=DESCRIPTION
    )
    key = command.add_mutually_exclusive_group(required=True)
    key.add_argument("--key", metavar="FILE", help="signs the ticket: a secret, or a private PEM")
    key.add_argument("--new-key", metavar="FILE", help="writes a new secret to this file instead")
    command.add_argument(
        "--map",
        metavar="URI",
        action="append",
        default=[],
        help="of one map; all that begin so, if it ends with a slash; * for all."
        " May be given more than once",
    )
    access = command.add_mutually_exclusive_group()
    access.add_argument(
        "--read", dest="access", action="store_const", const=READ, help="reading only (the default)"
    )
    access.add_argument(
        "--write", dest="access", action="store_const", const=WRITE, help="reading and writing"
    )
    command.add_argument(
        "--expires",
        metavar="TIME",
        type=arguments.duration,
        default=3600,
        help="after 90s, 15m, 1h or 7d (default: 1h)",
    )
    command.add_argument("--audience", metavar="NAME", help="only for relays that ask for this")
    command.set_defaults(access=READ, verbose=False)


def run_ticket(options: argparse.Namespace, now_seconds: float) -> str:
    """Runs the command; returns what is to be printed.

    Raises:
        InvalidValue: the arguments or the key make no sense.
        OSError: a file cannot be read or written.
    """
    from distmap.tickets import Key, mint, write_new_key

    if options.new_key is not None:
        write_new_key(options.new_key)
        return ""
    if not options.map:
        raise InvalidValue("say with --map what the ticket is for")
    maps = dict.fromkeys(options.map, options.access)
    return mint(Key.from_file(options.key), maps, now_seconds, options.expires, options.audience)
