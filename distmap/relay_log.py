"""The log of the relay as one JSON object a line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final, TextIO

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
)

OWN_FIELDS: Final = ("time", "level", "logger", "text", "traceback")
_PLAIN: Final = (str, int, type(None))


def json_observer(file: TextIO) -> ILogObserver:
    """Writes what is of level info or above.

    Args:
        file: where to.
    """
    predicate: Any = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
    return FilteringLogObserver(FileLogObserver(file, json_line), [predicate])


def json_line(event: LogEvent) -> str:
    """One line: the time, the level, who says it, the text as people read it, and its parts."""
    text = eventAsText(event, False, False, False)
    level = event.get("log_level")
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(event.get("log_time", 0), UTC).isoformat(
            timespec="milliseconds"
        ),
        "level": level.name if level is not None else "info",
        "logger": event.get("log_namespace", ""),
        "text": text,
    }
    failure = event.get("log_failure")
    if failure is not None:
        line["traceback"] = failure.getTraceback()
    for name, value in event.items():
        if _is_field(event, name):
            line[name] = value if _is_plain(value) else str(value)
    return json.dumps(line) + "\n"  # in ASCII: some readers of lines end one at U+2028


def _is_plain(value: object) -> bool:
    """Whether JSON has it."""
    return isfinite(value) if isinstance(value, float) else isinstance(value, _PLAIN)


def _is_field(event: LogEvent, name: str) -> bool:
    """Whether it is a part of the text, and nothing that the log adds by itself."""
    text = event.get("log_format") or ""
    return name not in OWN_FIELDS and f"{{{name}" in text
