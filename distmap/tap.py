"""`twistd distmap`: options, and the service they describe."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from math import isfinite
from typing import Any

from twisted.application.service import IService
from twisted.internet.endpoints import serverFromString
from twisted.python import usage

from distmap.relay import RelayOptions
from distmap.relay_log import json_observer
from distmap.relay_process import RelayProcessService
from distmap.settings import SETTING_NAMES, parameters, usage_text, with_settings
from distmap.websocket_options import WebSocketOptions

BACKLOG = 4096
"""A crowd that reconnects would meet SYN retries with Twisted's default of 50."""


def seconds(text: str) -> float:
    """A number of seconds.

    Raises:
        ValueError: it is none.
    """
    number = float(text)
    if not (isfinite(number) and number >= 0):
        raise ValueError(f"{text} is no number of seconds")
    return number


def one_of(*words: str) -> Callable[[str], str]:
    """What takes one of some words.

    Raises:
        ValueError: it is another.
    """

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text} is none of {', '.join(words)}")
        return text

    return read


class Options(usage.Options):
    """The command line of the relay."""

    synopsis = "[--port PORT] [--grace SECONDS] [--log] [--no-page]"
    longdesc = "A relay that connects the peers of distributed maps. It keeps no state."
    optParameters: list[list[Any]] = [
        [
            "port",
            "p",
            "8080",
            "where to listen: a port number on loopback, or an endpoint string such as "
            "tcp:8080:interface=0.0.0.0",
        ],
        [
            "grace",
            None,
            RelayOptions().grace_seconds,
            "how many seconds a stop waits for the peers to take what is theirs, and to go",
            seconds,
        ],
        [
            "metrics",
            None,
            RelayOptions().metrics,
            "who gets /metrics: loopback (this machine), all or off",
            one_of("loopback", "all", "off"),
        ],
        [
            "log-format",
            None,
            "text",
            "of the log on standard output: text, or json for one object a line",
            one_of("text", "json"),
        ],
        *parameters(),
    ]
    optFlags: list[list[str | None]] = [
        ["log", "l", "log each stream that is opened and closed"],
        ["no-page", None, "do not serve the live page"],
        ["compression", None, "let peers compress what they send"],
    ]

    def getUsage(self, width: int | None = None) -> str:
        """The help, with the limits in groups at the end."""
        width = width or int(os.environ.get("COLUMNS", "80"))
        every = self.longOpt
        self.longOpt = [name for name in every if name.rstrip("=") not in SETTING_NAMES]
        try:
            return super().getUsage(width) + usage_text(width)
        finally:
            self.longOpt = every

    def postOptions(self) -> None:
        """Turns the port into an endpoint."""
        from twisted.internet import reactor  # twistd has installed it

        try:
            self["endpoint"] = serverFromString(reactor, endpoint_string(self["port"]))
        except Exception as error:  # each kind of endpoint has errors of its own
            raise usage.UsageError(f"--port: {error}") from None


def endpoint_string(port: str) -> str:
    """What serverFromString takes: a bare number means that port on loopback.

    Raises:
        ValueError: it is neither a port nor an endpoint string.
    """
    if re.fullmatch(r"[0-9]+", port):
        if int(port) > 65535:
            raise ValueError(f"{port} is no port number")
        port = f"tcp:{port}:interface=127.0.0.1"
    if ":" not in port:
        raise ValueError(f"{port!r} is neither a port number nor an endpoint string")
    if port.startswith(("tcp:", "tcp6:", "ssl:")) and "backlog=" not in port:
        port += f":backlog={BACKLOG}"
    return port


def makeService(options: Options) -> IService:
    """The relay as a service, for twistd."""
    from twisted.internet import reactor

    relay_options = RelayOptions(
        log_streams=bool(options["log"]),
        page=not options["no-page"],
        grace_seconds=options["grace"],
        metrics=options["metrics"],
        websocket=WebSocketOptions(compression=bool(options["compression"])),
    )
    relay_options = with_settings(relay_options, options)
    service = RelayProcessService(reactor, options["endpoint"], relay_options)
    if options["log-format"] == "json":
        service.log_observer = json_observer(sys.stdout)
    return service
