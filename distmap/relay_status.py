"""`distmap status`: the state of a relay, for people."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import Agent, PartialDownloadError, readBody

Samples = dict[str, dict[str, float]]
"""Of each metric the numbers by their label; the label is empty for a lone one."""

CAUSES: Final = (
    ("refused", "distmap_refusals_total"),
    ("put out", "distmap_evictions_total"),
    ("failed handshakes", "distmap_handshake_failures_total"),
    ("faulty streams", "distmap_faults_total"),
    ("read more slowly", "distmap_pauses_total"),
)


class NoStatus(Exception):
    """The state of the relay cannot be had; the text says why, in one line."""


def add_status(commands: Any, seconds: Callable[[str], float], timeout_seconds: float) -> None:
    """Adds the command to a parser.

    Args:
        commands: the parser's commands.
        seconds: reads a number of seconds.
        timeout_seconds: how long to wait if the user does not say.
    """
    what = "Prints the state of a relay"
    command = commands.add_parser("status", help=what, description=f"{what}.")
    command.add_argument("url", metavar="URL", help="of the relay: ws:// or wss://")
    command.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=timeout_seconds,
        help="how long to wait for the relay (default: %(default)g)",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.add_argument("--verbose", action="store_true", help="show the log on stderr")


def run_status(
    reactor: Any, parser: argparse.ArgumentParser, arguments: argparse.Namespace
) -> Deferred[None]:
    """Runs the command; errbacks with SystemExit if it failed."""

    async def run() -> None:
        try:
            text = await status(reactor, arguments.url, arguments.timeout, arguments.json)
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (NoStatus, OSError) as error:
            sys.stderr.write(f"distmap: {error}\n")
            raise SystemExit(1) from None

    try:
        http_url(arguments.url, "")
    except ValueError as error:
        parser.error(str(error))
    return ensureDeferred(run())


def http_url(url: str, leaf: str) -> str:
    """Where a relay tells something, by the URL of its WebSocket.

    Raises:
        ValueError: it is no such URL.
    """
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme)
    if scheme is None or not parts.hostname or parts.port == 0:
        raise ValueError(f"{url!r} is no URL of a relay: ws:// or wss://")
    return urlunsplit((scheme, parts.netloc, f"{parts.path.rstrip('/')}/{leaf}", "", ""))


async def fetch(reactor: Any, url: str, seconds: float) -> tuple[int, bytes]:
    """Gets a page: its status and body.

    Raises:
        NoStatus: there was none in time.
    """
    clock: IReactorTime = reactor
    deadline = clock.seconds() + seconds
    agent = Agent(reactor, connectTimeout=seconds)
    try:
        answer: Any = await agent.request(b"GET", url.encode()).addTimeout(seconds, clock)
        left = max(0, deadline - clock.seconds())
        return int(answer.code), await readBody(answer).addTimeout(left, clock)
    except PartialDownloadError as error:  # of a server that tells no length
        return int(error.status), error.response or b""
    except Exception as error:
        if clock.seconds() >= deadline:
            raise NoStatus(f"no answer from {url} within {seconds:g} s") from None
        why = " ".join(str(error).split()) or type(error).__name__
        raise NoStatus(f"no answer from {url}: {why}") from None


async def status(reactor: Any, url: str, seconds: float, as_json: bool) -> str:
    """The state of a relay as text.

    Args:
        reactor: the reactor.
        url: of the relay.
        seconds: how long to wait.
        as_json: one JSON object instead of lines for people.

    Raises:
        NoStatus: it cannot be had.
    """
    code, body = await fetch(reactor, http_url(url, "metrics"), seconds)
    if code == 200:
        samples = read_samples(body.decode(errors="replace"))
    else:
        code, body = await fetch(reactor, http_url(url, "healthz"), seconds)
        samples = _from_health(code, body)
    if "distmap_connections" not in samples:
        raise NoStatus(f"what answers at {url} is no relay of distmap")
    if as_json:
        return json.dumps({name: flat(numbers) for name, numbers in sorted(samples.items())})
    return "\n".join(lines(url, samples))


def _from_health(code: int, body: bytes) -> Samples:
    try:
        connections = float(json.loads(body)["connections"])
    except (ValueError, KeyError, TypeError):
        return {}
    return {"distmap_connections": {"": connections}} if code == 200 else {}


def read_samples(text: str) -> Samples:
    """Reads the metrics, but for the buckets of histograms."""
    samples: Samples = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if not sample.name.endswith(("_bucket", "_created")):
                    label = ",".join(sample.labels.values())
                    samples.setdefault(sample.name, {})[label] = sample.value
    except ValueError:
        return {}
    return samples


def flat(numbers: dict[str, float]) -> Any:
    """A lone number by itself, several by their label."""
    return numbers[""] if numbers.keys() == {""} else numbers


def lines(url: str, samples: Samples) -> Iterable[str]:
    """What people read."""

    def one(name: str) -> float:
        return samples.get(f"distmap_{name}", {}).get("", 0)

    def row(title: str, text: str) -> str:
        return f"{title:<18} {text}"

    yield row("relay", url)
    if "distmap_maps" not in samples:
        yield row("connections", f"{one('connections'):g}")
        yield row("more", "is told on its own machine only, or with --metrics all")
        return
    yield row(
        "connections", f"{one('connections'):g} open, {one('connections_opened_total'):g} in all"
    )
    yield row("maps", f"{one('maps'):g}, with {one('members'):g} members")
    for way in ("in", "out"):
        frames, size = one(f"frames_{way}_total"), one(f"bytes_{way}_total")
        yield row(way, f"{frames:.0f} frames, {_bytes(size)}")
    yield row(
        "queues",
        f"{_bytes(one('queue_bytes'))} for {one('queues'):g} connections,"
        f" {_bytes(one('queue_bytes_max'))} for the slowest",
    )
    syncs = samples.get("distmap_syncs_total", {})
    if syncs:
        yield row("syncs", ", ".join(f"{number:g} {name}" for name, number in syncs.items()))
    turns = one("turn_seconds_count")
    if turns:
        yield row("turns", f"{turns:.0f}, {one('turn_seconds_sum') / turns * 1000:.2f} ms each")
    for title, name in CAUSES:
        causes = samples.get(name, {})
        if causes:
            yield row(title, ", ".join(f"{cause} {number:g}" for cause, number in causes.items()))
    memory = samples.get("process_resident_memory_bytes", {}).get("")
    if memory:
        yield row("memory", _bytes(memory))


def _bytes(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError
