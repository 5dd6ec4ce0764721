"""What a person at a terminal gets besides the answer: a pager, and a word when reading takes long.

In: an answer that is printed, a store. Out: the same through $PAGER, where stdout is a terminal; how long it has been
reading on stderr, where that is one. Elsewhere nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from amllog.attempt import Attempt
from amllog.insights.query import Query
from amllog.insights.stores import Store
from amllog.insights.table import Table

PATIENCE_SECONDS = 1.0  # reading that takes longer is told
_CLEARED = "\r\x1b[K"


class Patient:
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


class _Page(io.TextIOWrapper):
    """The way into a pager, which shows what it gets on a terminal."""

    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def paged() -> Iterator[None]:
    """While it lasts, what is printed goes through $PAGER (less, unless that is set); by itself without a terminal,
    with PAGER=cat or an empty one. A reader who has enough ends it."""
    command = shlex.split(os.environ.get("PAGER", "less"))
    if not sys.stdout.isatty() or not command or command == ["cat"] or not shutil.which(command[0]):
        yield
        return
    environment = {"LESS": "FRX", **os.environ}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    assert process.stdin is not None
    page = _Page(process.stdin, encoding="utf-8", errors="backslashreplace", line_buffering=True)
    try:
        with contextlib.suppress(BrokenPipeError), contextlib.redirect_stdout(page):
            yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            page.close()
        while process.poll() is None:
            with contextlib.suppress(KeyboardInterrupt):  # it is the pager's, which stays
                process.wait()


def _told(ask: Callable[[], Any]) -> Any:
    if not sys.stderr.isatty():
        return ask()
    began, shown, attempt = time.monotonic(), False, Attempt(ask)
    try:
        while True:
            with contextlib.suppress(TimeoutError):
                return attempt.result(PATIENCE_SECONDS)
            if attempt.over:
                return attempt.result(0)
            shown = True
            sys.stderr.write(f"{_CLEARED}amllog: reading, {time.monotonic() - began:.0f} s")
            sys.stderr.flush()
    finally:
        if shown:
            sys.stderr.write(_CLEARED)
            sys.stderr.flush()
