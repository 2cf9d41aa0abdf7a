"""One Node.js process that runs the machines with the JavaScript client, command by command."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final, TypeAlias

PROGRAM: Final = Path(__file__).resolve().parent.parent / "js" / "simulated.mjs"
ANSWER_SECONDS: Final = 60.0
"""Real ones: a program that takes so long for one command goes round in circles."""

Edit: TypeAlias = tuple[str, str, str]
"""A module, a piece of it that occurs once, and what to put in its place."""
Done: TypeAlias = list[list[Any]]
"""What was done, in its order."""

# Sizes of the Python code, see tests.simulation.plan, and those of JavaScript that are the same.
SIZES: Final = {
    "outbox.MESSAGE_BYTES": "frames.MESSAGE_CHARS",
    "sync_wire.CHUNK_BYTES": "sync_wire.CHUNK_BYTES",
    "outbox.WINDOW_BYTES": "outbox.WINDOW_BYTES",
    "sync.SPLIT_ABOVE": "sync.SPLIT_ABOVE",
    "sync.GATHER": "sync.GATHER",
    "sync.WINDOW": "sync.WINDOW",
    "ranges.LEAF_KEYS": "ranges.LEAF_KEYS",
    "doubts.STEP_ENTRIES": "doubts.STEP_ENTRIES",
    "conversation.FOLD_KEYS": "conversation.FOLD_KEYS",
    "holding.MAX_HELD": "holding.MAX_HELD",
    "holding.MAX_HELD_PER_WRITER": "holding.MAX_HELD_PER_WRITER",
}


class NodeFailed(Exception):
    """The process has ended, or does not answer."""


class Node:
    """The process; it is started when it is first needed, and again after it has failed.

    Args:
        edits: bugs to plant.

    Attributes:
        disks: by the name of the machine, what outlives its crash.
    """

    def __init__(self, edits: list[Edit] | None = None) -> None:
        self.disks: dict[str, Any] = {}
        self._edits = edits or []
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, scale: dict[str, int]) -> None:
        """Begins another network, with these sizes of the code."""
        self.disks = {}
        sizes = {SIZES[name]: size for name, size in scale.items() if name in SIZES}
        done = self.ask("begin", sizes)
        if done:
            raise NodeFailed(f"it could not begin: {done}")

    def ask(self, *command: object) -> Done:
        """Has a command carried out.

        Raises:
            NodeFailed: there is no answer.
        """
        process = self._process or self._start()
        try:
            self._write(process, json.dumps(command).encode() + b"\n")
            done: Done = json.loads(self._read(process))
        except BaseException:
            self.stop()  # the next answer would be that of another command
            raise
        return done

    def stop(self) -> None:
        """Ends the process; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def _start(self) -> subprocess.Popen[bytes]:
        found = shutil.which("node")
        if found is None:
            raise NodeFailed("Node.js is not installed")
        command = [found, str(PROGRAM), json.dumps(self._edits)]
        self._process = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self._process

    def _write(self, process: subprocess.Popen[bytes], line: bytes) -> None:
        assert process.stdin is not None
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[process.stdin.write(rest) or 0 :]
        except BrokenPipeError:
            raise NodeFailed("Node.js has ended") from None

    def _read(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        parts = []
        while True:
            if not select.select([process.stdout], [], [], ANSWER_SECONDS)[0]:
                raise NodeFailed(f"Node.js has not answered within {ANSWER_SECONDS:.0f} s")
            part = os.read(process.stdout.fileno(), 1 << 20)
            if not part:
                raise NodeFailed("Node.js has ended")
            parts.append(part)
            if part.endswith(b"\n"):
                return b"".join(parts)
