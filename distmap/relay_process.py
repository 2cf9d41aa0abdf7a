"""The relay of a process of its own: another signal cuts its stop short."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from distmap.relay import RelayService

T = TypeVar("T")

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class RelayProcessService(RelayService):
    """A :class:`RelayService` that is alone in its process.

    To Twisted a second signal is an error, and the stop takes as long as before.
    """

    _log = Logger()
    log_observer: ILogObserver | None = None
    """Where to log; where twistd does if None."""

    def setServiceParent(self, parent: Any) -> None:
        """Belongs to an application, which twistd asks where to log."""
        if self.log_observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.log_observer)
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]

    def stopService(self) -> Deferred[Any]:
        """As :meth:`RelayService.stopService`; another signal meanwhile drops all connections."""
        done = super().stopService()
        if done.called or threading.current_thread() is not threading.main_thread():
            return done
        put_back = _handle_signals(lambda: self._reactor.callFromThread(self._hurry))

        def finished(result: T) -> T:
            put_back()
            return result

        return done.addBoth(finished)

    def _hurry(self) -> None:
        self._log.info("told to stop again: all connections are dropped")
        super().stopService()


def _handle_signals(handler: Callable[[], None]) -> Callable[[], None]:
    """Sets a handler; returns what sets the old ones again."""
    old = {number: signal.signal(number, lambda *_: handler()) for number in SIGNALS}

    def put_back() -> None:
        for number, former in old.items():
            signal.signal(number, former)

    return put_back
