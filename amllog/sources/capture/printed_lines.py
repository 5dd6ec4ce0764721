"""The unfinished lines of captured prints. They belong to the process, so that a second `setup()` continues them.

Plain text is kept for each thread. Text with control characters belongs to one screen, because several threads draw a
bar: the script, and the threads of tqdm and rich that refresh it. Plain text of the thread that drew last continues on
the screen until nothing is left there.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable

from amllog.process.released_locks import releasing
from amllog.record.log_call import CallSite
from amllog.record.terminal_text import TerminalText

_CONTROLS = re.compile(r"[\r\x1b\b]")
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
# Threads may end without the end of their line.
MAX_WRITERS = 1_000


class _Writer:
    """The lines that are not complete, and the call site of the last write."""

    def __init__(self) -> None:
        self.text = TerminalText()
        self.site = CallSite("", "", 0)
        self._is_in_key = False

    def write(self, text: str, site: CallSite) -> list[str]:
        """Return the lines that are complete now."""
        self.site = site
        return self.hide_keys(self.text.write(text))

    def hide_keys(self, lines: list[str]) -> list[str]:
        """Return the lines that are not inside a private key. A single line has no form that would be masked."""
        visible = []
        for line in lines:
            began, self._is_in_key = self._is_in_key, False
            if not _KEY_ENDS.search(line):
                self._is_in_key = began or _KEY_BEGINS.search(line) is not None
            if not began:
                visible.append(line)
        return visible


class _Threads(threading.local):
    """The plain text of each thread."""

    def __init__(self) -> None:
        self.plain = _Writer()


class PrintedLines:
    """All unfinished lines of the process."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._threads, self._screen = _Threads(), _Writer()
        self._lock = threading.RLock()
        self._drawing: _Writer | None = None  # the plain text of the thread that drew last
        # Those with unfinished lines.
        self._unfinished: dict[int, _Writer] = {}

    @releasing("_lock")
    def write(self, text: str, site: CallSite) -> list[str]:
        """Add text that this thread has written. Return the lines that are complete now."""
        if os.getpid() != self._process:  # the lines belong to the parent
            self._begin()
        with self._lock:
            plain = self._threads.plain
            if _CONTROLS.search(text) or (self._drawing is plain and not self._screen.text.is_empty):
                return self._draw(plain, text, site)
            lines: list[str] = []
            if "\n" in text and plain.text.is_empty:
                *lines, text = text.split("\n")
                lines = plain.hide_keys(lines)
            if text:
                lines += plain.write(text, site)
                self._keep(plain)
            return lines

    def settle(self) -> list[tuple[str, CallSite]]:
        """Return the finished lines above the cursor, which would otherwise be complete with the next line."""
        return self._finish(lambda text: text.settle())

    def end(self) -> list[tuple[str, CallSite]]:
        """Return all lines that are left, with the call sites of their last writes."""
        return self._finish(lambda text: text.end())

    @releasing("_lock")
    def _finish(self, finish: Callable[[TerminalText], list[str]]) -> list[tuple[str, CallSite]]:
        lines: list[tuple[str, CallSite]] = []
        if os.getpid() == self._process:
            with self._lock:
                for writer in list(self._unfinished.values()):
                    lines += [(line, writer.site) for line in writer.hide_keys(finish(writer.text))]
                    self._keep(writer)
        return lines

    def _draw(self, plain: _Writer, text: str, site: CallSite) -> list[str]:
        """Write to the screen, with the unfinished plain text of the thread before it."""
        self._drawing = plain
        text = plain.text.take() + text
        self._keep(plain)
        lines = self._screen.write(text, site)
        self._keep(self._screen)
        return lines

    def _keep(self, writer: _Writer) -> None:
        if writer.text.is_empty:
            self._unfinished.pop(id(writer), None)
        elif len(self._unfinished) < MAX_WRITERS:
            self._unfinished[id(writer)] = writer


LINES = PrintedLines()
