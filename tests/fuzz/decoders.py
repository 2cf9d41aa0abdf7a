"""Target: all that decodes what comes, each by itself, on the same texts. That costs least, so it
gets most of the executions.
"""

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
    """Each step is a text for all decoders: an execution is one text with one of them."""

    name = "decoders"
    actors = 1
    twin = False
    executions = len(DECODERS)

    def seeds(self) -> Iterator[Case]:
        texts = [
            b'{"meta":{"route":"/m"},"opts":{"writable":true,"readable":false}}',
            b'{"message":"m","code":"c"}',
            *(text for payloads in channel_seeds() for text in payloads),
        ]
        for target in (Mux(), Entries(), Values(), HostileNewcomer(), HostileDonor()):
            for case in target.seeds():
                texts += [line for _, text in case for line in text.split(b"\n")]
        yield from (((0, text),) for text in texts if len(text) < 700)

    def run(self, case: Case) -> Hashable:
        told: list[Hashable] = []
        for decode in DECODERS:
            try:
                told.append(type(decode(case[0][1] if case else b"")).__name__)
            except (RemoteError, InvalidValue, InvalidType) as error:
                told.append(why(error))
        return tuple(told)

    def verdict(self, case: Case) -> Any:
        return None
