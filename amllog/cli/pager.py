"""What a person at a terminal gets besides the answer: a pager, and a word when reading takes long.

In: an answer that is printed, a store. Out: the same through $PAGER, where stdout is a terminal; how long it has been
reading on stderr, where that is one and no pager is on it. Elsewhere nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

from amllog.cli import rows
from amllog.errors import UsageError
from amllog.insights.query.query import Query
from amllog.insights.query.result import Table
from amllog.insights.stores.store import Store
from amllog.process.background import BackgroundCall

PATIENCE_SECONDS = 1.0  # reading that takes longer is told


class ProgressStore:
    """A store that tells on a terminal how long it has been asking another one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, query: Query) -> Table:
        """The store's answer."""
        found: Table = _told(lambda: self._store.answer(query))
        return found

    def query(self, kql: str) -> Table:
        """The store's answer."""
        found: Table = _told(lambda: self._store.query(kql))
        return found


class _Way(io.RawIOBase):
    """The way into a pager, which is started by the first bytes: until then the terminal is ours."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self.process: subprocess.Popen[bytes] | None = None

    def isatty(self) -> bool:
        return True  # where the pager shows it

    def fileno(self) -> int:
        if self.process is None or self.process.stdin is None:
            raise io.UnsupportedOperation("no pager yet")
        return self.process.stdin.fileno()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.process is None:
            environment = {"LESS": "FRX", **os.environ}
            self.process = subprocess.Popen(self._command, stdin=subprocess.PIPE, env=environment)
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()
        return len(data)

    def leave(self) -> None:
        """Nothing more comes; wait until the reader has enough too."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        while self.process.poll() is None:
            with contextlib.suppress(KeyboardInterrupt):  # it is the pager's, which stays
                self.process.wait()


class _Beside(io.StringIO):
    """stderr beside a pager: what would be written over its page is kept until it has ended."""

    def __init__(self, stream: TextIO, way: _Way) -> None:
        super().__init__()
        self._stream, self._way = stream, way

    def isatty(self) -> bool:
        return self._way.process is None and self._stream.isatty()

    def write(self, text: str) -> int:
        return self._stream.write(text) if self._way.process is None else super().write(text)

    def flush(self) -> None:
        self._stream.flush()


@contextlib.contextmanager
def paged() -> Iterator[None]:
    """While it lasts, what is printed goes through $PAGER (less, unless that is set); by itself without a terminal,
    with PAGER=cat or an empty one. BrokenPipeError where the reader has enough before all is told."""
    named = os.environ.get("PAGER", "less")
    try:
        command = shlex.split(named)
    except ValueError as error:
        raise UsageError(f"PAGER={named!r}: a command such as less, or empty for none ({error})") from error
    if not sys.stdout.isatty() or not command or command == ["cat"] or not shutil.which(command[0]):
        yield
        return
    way = _Way(command)
    page = io.TextIOWrapper(
        io.BufferedWriter(way), sys.stdout.encoding, "backslashreplace", line_buffering=True
    )
    beside = _Beside(sys.stderr, way)
    try:
        with contextlib.redirect_stdout(page), contextlib.redirect_stderr(beside):
            yield
            page.flush()
    finally:
        way.leave()
        sys.stderr.write(beside.getvalue())


def _told(ask: Callable[[], Any]) -> Any:
    """The work stays in this thread: only here does Ctrl-C end it."""
    if not sys.stderr.isatty():
        return ask()
    stream, done = sys.stderr, threading.Event()
    teller = BackgroundCall(lambda: _tell(stream, done))
    try:
        return ask()
    finally:
        done.set()
        with contextlib.suppress(TimeoutError):  # a terminal that takes nothing
            teller.result(PATIENCE_SECONDS)


def _tell(stream: TextIO, done: threading.Event) -> None:
    began, shown = time.monotonic(), False
    while not done.wait(PATIENCE_SECONDS):
        shown = True
        rows.overwrite(f"amllog: reading, {time.monotonic() - began:.0f} s", stream)
    if shown:
        rows.overwrite("", stream)
