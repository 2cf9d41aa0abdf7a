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

from distmap.auth import make_authorizer
from distmap.origins import check_origin
from distmap.proxies import TrustedProxies, is_loopback
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

    synopsis = "[--port PORT] [--auth HOW | --open] [--grace SECONDS] [--log] [--no-page]"
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
            "auth",
            None,
            None,
            "who may come in: tickets:KEYFILE[:audience=NAME], file:PATH or another checker of"
            " Twisted Cred, or the name of a plugin",
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
        ["open", None, "let everybody in who can reach the port"],
        ["log", "l", "log each stream that is opened and closed"],
        ["no-page", None, "do not serve the live page"],
        ["compression", None, "let peers compress what they send"],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.origins: list[str] = []
        self.proxies: list[str] = []
        self.readers: list[str] = []

    def opt_allow_origin(self, origin: str) -> None:
        """Let pages from there connect, such as https://example.com, beside those of the relay's
        own host; * for all. May be given more than once.
        """
        self.origins.append(_checked("--allow-origin", check_origin, origin))

    def opt_trusted_proxy(self, proxy: str) -> None:
        """An address or network such as 10.0.0.0/8 of a proxy in front of the relay, or unix: what
        it says in X-Forwarded-For and X-Forwarded-Proto is believed. May be given more than once.
        """
        _checked("--trusted-proxy", TrustedProxies, [proxy])
        self.proxies.append(proxy)

    def opt_reader(self, name: str) -> None:
        """A user who may only read, where --auth checks passwords. May be given more than once."""
        self.readers.append(name)

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
        """Makes the endpoint and the authorizer.

        Raises:
            UsageError: the options make no sense, or not together.
        """
        from twisted.internet import reactor  # twistd has installed it

        port, auth = self["port"], self["auth"]
        self["endpoint"] = _checked(
            "--port", lambda port: serverFromString(reactor, endpoint_string(port)), port
        )
        self["authorizer"] = None
        if auth is not None:
            self["authorizer"] = _checked(
                "--auth", lambda auth: make_authorizer(auth, reactor, self.readers), auth
            )
        elif self.readers:
            raise usage.UsageError("--reader: without --auth there are no users")
        if auth is not None and self["open"]:
            raise usage.UsageError("--open lets everybody in, and --auth does not: say one of them")
        if auth is None and not self["open"]:
            who = "Say who may come in with --auth, or --open to let everybody in"
            if not listens_on_loopback(port):
                raise usage.UsageError(f"--port {port}: others can reach that. {who}")
            if self.proxies:
                raise usage.UsageError(f"--trusted-proxy: it lets others reach the relay. {who}")


def _checked(option: str, make: Callable[[Any], Any], value: Any) -> Any:
    try:
        return make(value)
    except Exception as error:  # endpoints, checkers and plugins have errors of their own
        raise usage.UsageError(f"{option}: {error}") from None


def listens_on_loopback(port: str) -> bool:
    """Whether only this machine can reach what a port says, as far as that can be told."""
    if re.fullmatch(r"[0-9]+", port):
        return True
    kind, _, rest = port.partition(":")
    if kind == "unix":
        return True
    found = re.search(r"(?:\A|:)interface=((?:[^:\\]|\\.)*)", rest)
    interface = found[1].replace("\\", "") if found else ""
    return kind in ("tcp", "tcp6", "ssl") and (
        interface == "localhost" or (bool(interface) and is_loopback(interface))
    )


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
    listens = port.removeprefix("haproxy:")
    if listens.startswith(("tcp:", "tcp6:", "ssl:")) and "backlog=" not in port:
        port += f":backlog={BACKLOG}"
    return port


def makeService(options: Options) -> IService:
    """The relay as a service, for twistd."""
    from twisted.internet import reactor

    relay_options = RelayOptions(
        authorizer=options["authorizer"],
        open=bool(options["open"]),
        origins=options.origins,
        trusted_proxies=options.proxies,
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
