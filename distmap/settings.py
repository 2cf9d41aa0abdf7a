"""The limits of a relay as options of its command line, by groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from math import isfinite
from typing import Any, Final, NamedTuple

from twisted.python.usage import docMakeChunks

from distmap.relay_options import RelayOptions


class Setting(NamedTuple):
    """One option, and the field that it sets.

    Attributes:
        name: of the option, without its dashes; also of the field, with other dashes.
        part: the field of :class:`RelayOptions` that holds it, such as ``limits``; empty if that
            has it itself.
        text: what it means.
        least: the smallest number that it may be.
    """

    name: str
    part: str
    text: str
    least: float = 1

    @property
    def field(self) -> str:
        """The name of the field."""
        return self.name.replace("-", "_")

    @property
    def default(self) -> float:
        """The number that it has if nobody says another."""
        number: float = getattr(_part(RelayOptions(), self.part), self.field)
        return number

    @property
    def is_whole(self) -> bool:
        """Whether it can only be a whole number."""
        (found,) = (
            field for field in fields(_part(RelayOptions(), self.part)) if field.name == self.field
        )
        return found.type in (int, "int")

    def read(self, text: object) -> float:
        """A number of the command line.

        Raises:
            ValueError: it is none, or too small.
        """
        number = float(str(text))
        if not (isfinite(number) and number >= self.least):
            raise ValueError(f"{text} is no number from {self.least:g} on")
        if self.is_whole:
            if number != int(number):
                raise ValueError(f"{text} is no whole number")
            return int(number)
        return number


CONNECTIONS: Final = (
    Setting("connections", "", "connections in all; 0 for no limit", 0),
    Setting("connections-per-address", "", "of one address, or IPv6 /64; 0 for no limit", 0),
    Setting("handshake-seconds", "websocket", "for the request, and again for the upgrade", 0.1),
    Setting("header-bytes", "", "of a request", 1024),
    Setting("ping-seconds", "websocket", "of silence before a ping", 0.1),
    Setting("pong-seconds", "websocket", "for the answer to a ping", 0.1),
)
MESSAGES: Final = (
    Setting("frame-bytes", "limits", "one frame, such as a write", 2048),
    Setting("message-bytes", "websocket", "one WebSocket message, after it was inflated", 2048),
    Setting("message-fragments", "websocket", "WebSocket frames of one message"),
    Setting("message-seconds", "websocket", "for one message to come whole", 0.1),
    Setting("streams", "limits", "streams open on a connection"),
    Setting("maps", "limits", "of those, the ones that are maps"),
    Setting("meta-bytes", "limits", "what a stream is opened with", 16),
    Setting("route-bytes", "limits", "the part of that which holds the URI of a map", 16),
)
RATES: Final = (
    Setting("bytes-per-second", "rates", "0 for no limit", 0),
    Setting("frames-per-second", "rates", "0 for no limit", 0),
    Setting("joins-per-second", "rates", "streams that are opened; 0 for no limit", 0),
    Setting("burst-seconds", "rates", "what comes in so long may come at once after a rest", 0.1),
)
QUEUES: Final = (
    Setting("queue-bytes", "", "what waits for a connection that does not read", 1024),
    Setting("held-bytes", "", "that and unfinished messages, of all together; 0 for no limit", 0),
    Setting("stall-seconds", "", "how long it may wait without getting less", 0.1),
)

GROUPS: Final = {
    "Limits on connections": CONNECTIONS,
    "Limits on what a connection sends": MESSAGES,
    "Rates; who is over one is read more slowly": RATES,
    "Limits on what waits for a connection": QUEUES,
}
SETTINGS: Final = tuple(setting for group in GROUPS.values() for setting in group)
SETTING_NAMES: Final = frozenset(setting.name for setting in SETTINGS)


def _part(options: RelayOptions, part: str) -> Any:
    return getattr(options, part) if part else options


def parameters() -> list[list[Any]]:
    """The options as `twisted.python.usage` wants them."""
    return [
        [setting.name, None, setting.default, setting.text, setting.read] for setting in SETTINGS
    ]


def with_settings(options: RelayOptions, values: Mapping[str, Any]) -> RelayOptions:
    """Relay options with the limits of a command line.

    Args:
        options: all that is not said.
        values: by the name of the option; those that are no settings are left out.
    """
    for part in dict.fromkeys(setting.part for setting in SETTINGS):
        changes = {
            setting.field: values[setting.name]
            for setting in SETTINGS
            if setting.part == part and setting.name in values
        }
        if part:
            options = replace(options, **{part: replace(_part(options, part), **changes)})
        else:
            options = replace(options, **changes)
    return options


def usage_text(width: int) -> str:
    """The help of the options, a heading over each group.

    Args:
        width: of a line.
    """
    text = ""
    for title, group in GROUPS.items():
        rows = [
            {
                "long": setting.name,
                "short": None,
                "doc": setting.text,
                "optType": "parameter",
                "default": setting.default,
            }
            for setting in group
        ]
        text += f"\n{title}:\n" + "".join(docMakeChunks(rows, width))
    return text
