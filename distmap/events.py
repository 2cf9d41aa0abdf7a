"""Events with handlers that can do no harm: one that raises is logged and stops nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from twisted.logger import Logger

from distmap.errors import InvalidValue

Handler: TypeAlias = Callable[..., Any]


class Emitter:
    """Keeps the handlers of a fixed set of events.

    Args:
        names: the events there are.
    """

    _log = Logger()

    def __init__(self, *names: str) -> None:
        self._handlers: dict[str, tuple[Handler, ...]] = dict.fromkeys(names, ())

    def on(self, name: str, handler: Handler) -> Callable[[], None]:
        """Adds a handler; the same one can be added more than once.

        Returns:
            What takes it back.

        Raises:
            InvalidValue: there is no such event.
        """
        self._handlers[name] = (*self._known(name), handler)
        return lambda: self.off(name, handler)

    def off(self, name: str, handler: Handler) -> None:
        """Takes a handler back; one that is not there is no error."""
        handlers = list(self._known(name))
        if handler in handlers:
            handlers.remove(handler)
            self._handlers[name] = tuple(handlers)

    def has(self, name: str) -> bool:
        """Whether anybody listens."""
        return bool(self._handlers[name])

    def emit(self, name: str, *args: Any) -> None:
        """Calls the handlers in the order they were added."""
        for handler in self._handlers[name]:
            self.call(name, handler, *args)

    def call(self, name: str, handler: Handler, *args: Any) -> None:
        """Calls one handler; if it raises, that is logged."""
        try:
            handler(*args)
        except Exception:
            self._log.failure("a handler of {event} raised", event=name)

    def _known(self, name: str) -> tuple[Handler, ...]:
        if name not in self._handlers:
            raise InvalidValue(f"no event {name!r}: there are {', '.join(self._handlers)}")
        return self._handlers[name]
