"""Target: all that decodes what comes, each by itself. It is the cheapest, so it gets the most."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final

from distmap import sync_wire, values
from distmap.channel_wire import decode_control, decode_said
from distmap.entries import decode_entry
from distmap.errors import InvalidType, InvalidValue, RemoteError
from distmap.frames import decode_fault, decode_frame, decode_new
from tests.fuzz.cases import Case
from tests.fuzz.peers import channel_seeds
from tests.fuzz.syncs import HostileDonor, HostileNewcomer
from tests.fuzz.wire import Entries, Mux, Values, why

DECODERS: Final[tuple[Callable[[Any], Any], ...]] = (
    decode_frame,
    lambda text: decode_new(text, 300),
    decode_fault,
    decode_control,
    decode_said,
    sync_wire.decode_request,
    sync_wire.decode_answer,
    lambda text: decode_entry(text, 300),
    lambda text: values.canonical(text, 300),
)


class Decoders:
    """Each step is a text for one decoder: which, tells the number."""

    name = "decoders"
    actors = len(DECODERS)
    twin = False

    def seeds(self) -> Iterator[Case]:
        for case in Mux().seeds():
            for _, text in case:
                yield from (((0, line),) for line in text.split(b"\n"))
        yield ((1, b'{"meta":{"route":"/m"},"opts":{"writable":true,"readable":false}}'),)
        yield ((2, b'{"message":"m","code":"c"}'),)
        for payloads in channel_seeds():
            for text in payloads:
                yield ((3 if text[:1] == b"[" else 4, text),)
        for who, cases in ((5, HostileNewcomer().seeds()), (6, HostileDonor().seeds())):
            for case in cases:
                yield from (((who, text),) for _, text in case if len(text) < 700)
        for who, cases in ((7, Entries().seeds()), (8, Values().seeds())):
            for case in cases:
                yield from (((who, text),) for _, text in case)

    def run(self, case: Case) -> Hashable:
        told: Hashable = None
        for who, text in case[:2]:
            try:
                told = type(DECODERS[who](text)).__name__
            except (RemoteError, InvalidValue, InvalidType) as error:
                told = why(error)
        return told

    def verdict(self, case: Case) -> Any:
        return None
