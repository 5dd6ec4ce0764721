"""Pipe long output through `$PAGER`, and show progress while a query runs.

Both happen only on a terminal. The pager starts with the first byte of the answer, so that progress and errors before
it are written to the terminal as usual.
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

from amllog.cli import output
from amllog.errors import UsageError
from amllog.insights.query.query import Query
from amllog.insights.query.result import Table
from amllog.insights.stores.store import Store
from amllog.process.background import BackgroundCall

PROGRESS_SECONDS = 1.0  # a query that takes longer shows its progress


class ProgressStore:
    """A store that delegates to another one and shows on a terminal how long a query has been running."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def knows_runs(self) -> bool:
        """The answer of the store."""
        return self._store.knows_runs

    def answer(self, query: Query) -> Table:
        """Return the answer of the store."""
        table: Table = _call_with_progress(lambda: self._store.answer(query))
        return table

    def query(self, kql: str) -> Table:
        """Return the answer of the store to free KQL."""
        table: Table = _call_with_progress(lambda: self._store.query(kql))
        return table


class _PagerInput(io.RawIOBase):
    """The standard input of a pager, which is started by the first bytes."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self.process: subprocess.Popen[bytes] | None = None

    def isatty(self) -> bool:
        return True  # the pager shows it on a terminal

    def fileno(self) -> int:
        if self.process is None or self.process.stdin is None:
            raise io.UnsupportedOperation("the pager has not started")
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

    def wait(self) -> None:
        """Close the input of the pager and wait until the user leaves it."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        while self.process.poll() is None:
            with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is for the pager, which continues
                self.process.wait()


class _DelayedStderr(io.StringIO):
    """A stderr that keeps its output while the pager runs, because it would be written over the page."""

    def __init__(self, stream: TextIO, pager: _PagerInput) -> None:
        super().__init__()
        self._stream, self._pager = stream, pager

    def isatty(self) -> bool:
        return self._pager.process is None and self._stream.isatty()

    def write(self, text: str) -> int:
        return self._stream.write(text) if self._pager.process is None else super().write(text)

    def flush(self) -> None:
        self._stream.flush()


@contextlib.contextmanager
def paged() -> Iterator[None]:
    """Pipe the output of the block through $PAGER, or `less` if it is not set.

    Without a terminal, and with an empty PAGER or PAGER=cat, stdout is not changed. Raises BrokenPipeError if the user
    leaves the pager before the end of the output.
    """
    variable = os.environ.get("PAGER", "less")
    try:
        command = shlex.split(variable)
    except ValueError as error:
        raise UsageError(
            f"PAGER={variable!r}: a command such as less, or empty for none ({error})"
        ) from error
    if not sys.stdout.isatty() or not command or command == ["cat"] or not shutil.which(command[0]):
        yield
        return
    pager = _PagerInput(command)
    page = io.TextIOWrapper(
        io.BufferedWriter(pager), sys.stdout.encoding, "backslashreplace", line_buffering=True
    )
    delayed = _DelayedStderr(sys.stderr, pager)
    try:
        with contextlib.redirect_stdout(page), contextlib.redirect_stderr(delayed):
            yield
            page.flush()
    finally:
        pager.wait()
        sys.stderr.write(delayed.getvalue())


def _call_with_progress(call: Callable[[], Any]) -> Any:
    """Make the call in this thread, because Ctrl-C interrupts only the main thread, and show progress in another."""
    if not sys.stderr.isatty():
        return call()
    stream, done = sys.stderr, threading.Event()
    progress = BackgroundCall(lambda: _show_progress(stream, done))
    try:
        return call()
    finally:
        done.set()
        with contextlib.suppress(TimeoutError):  # a terminal that accepts no output
            progress.result(PROGRESS_SECONDS)


def _show_progress(stream: TextIO, done: threading.Event) -> None:
    began, is_shown = time.monotonic(), False
    while not done.wait(PROGRESS_SECONDS):
        is_shown = True
        output.overwrite_line(f"amllog: reading, {time.monotonic() - began:.0f} s", stream)
    if is_shown:
        output.overwrite_line("", stream)
