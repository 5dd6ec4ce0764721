"""Detect whether a handler writes a record to the driver log, while it handles the record.

A handler may look up `sys.stdout` when it writes (`print`, `tqdm.write`, a rich Console), or hold a stream in an
attribute. For the time of one call, a transparent stand-in replaces these streams. It notices the strings that this
thread writes.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from amllog.process.hooks import Hook
from amllog.sources.capture import console_streams

_WORD = re.compile(r"\w+")
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\].*?(?:\x07|\x1b\\)", re.DOTALL)
# logging's report of an error in the handler. It contains the message.
_FAILED = "--- Logging error ---"
# The beginning of a message that is compared. A console may cut it.
_COMPARED = 100
# The part of its words with which a message is taken for written.
_ENOUGH = 0.5
# A tag of rich's markup.
_MARKUP = re.compile(r"\[/?[a-zA-Z#@][^\[\]]*\]|\[/\]")

# The thread whose streams are replaced, by process. A forked child does not inherit it.
_WATCHING: dict[int, int] = {}


class StreamPlace(NamedTuple):
    """An attribute that has a stream."""

    owner: Any
    name: str
    stream: Any


class _Written(threading.local):
    """The strings that a thread has written since the beginning of a watch, or None."""

    strings: list[str] | None = None

    def begin(self, strings: list[str] | None) -> list[str] | None:
        """Begin to add strings to a list. Return the former one."""
        before, self.strings = self.strings, strings
        return before

    def add(self, string: object) -> None:
        """Add a string, or bytes for a binary stream, if this thread is watched."""
        if self.strings is not None:
            self.strings.append(
                string.decode("utf-8", "replace") if isinstance(string, bytes) else str(string)
            )


_WRITTEN = _Written()


class Probe:
    """A stand-in for a stream. It passes everything on."""

    def __init__(self, stream: Any) -> None:
        # The driver log writes there, because its own lines prove nothing.
        is_ours = type(stream).__module__.startswith("amllog.")
        self.amllog_beneath = stream.amllog_beneath if is_ours else stream
        self.stream = stream

    def write(self, string: Any) -> Any:
        """Write to the stream."""
        written = self.stream.write(string)
        _WRITTEN.add(string)
        return written

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write to the stream."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __eq__(self, other: object) -> bool:
        return other is self or other is self.stream

    def __hash__(self) -> int:
        return hash(self.stream)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.stream)

    def __repr__(self) -> str:
        return repr(self.stream)


class WriteWatch:
    """A context in which stdout, stderr and the streams of some places are replaced."""

    def __init__(self, places: Iterable[StreamPlace]) -> None:
        self._places = list(places)
        self._hooks: list[Hook] = []
        self._before: list[str] | None = None
        self._is_first = False
        self.is_active = False
        self.strings: list[str] = []

    def begin(self) -> None:
        """Replace the streams, unless another thread has done so."""
        process, thread = os.getpid(), threading.get_ident()
        self._is_first = process not in _WATCHING
        if _WATCHING.setdefault(process, thread) != thread:
            return
        self.is_active = True
        self._before = _WRITTEN.begin(self.strings)
        named = sys.__dict__
        standard = [StreamPlace(sys, name, named.get(name)) for name in console_streams.NAMES]
        probes: dict[int, Probe] = {}  # one for each stream, because handlers compare them
        for owner, name, stream in (*standard, *self._places):
            if stream is not None and type(stream) is not Probe:  # of a watch around this one
                probe = probes.setdefault(id(stream), Probe(stream))
                self._hooks.append(Hook(owner, name, probe))
                self._hooks[-1].put()

    def end(self) -> None:
        """Restore the streams."""
        if not self.is_active:
            return
        while self._hooks:
            self._hooks[-1].remove()
            self._hooks.pop()
        _WRITTEN.begin(self._before)
        if self._is_first:
            _WATCHING.pop(os.getpid(), None)

    def shows(self, message: str) -> bool | None:
        """Return whether the message was written. None: that is not known.

        The handler may have failed. Or a part was written, as when the rest of the words are markup of a renderer.
        """
        text = _CONTROL.sub("", "".join(self.strings))
        if not self.is_active or _FAILED in text:
            return None
        part = contained_part(text, message) if text else 0.0
        return None if 0 < part < _ENOUGH else part >= _ENOUGH


def contained_part(text: str, message: str) -> float:
    """Return the part of the words of a message that a text contains (0 to 1). Tags of markup may be missing."""
    plain = _MARKUP.sub(" ", message) if "[" in message else message
    return max(_part(text, words) for words in (message, plain) if words is message or words.strip())


def _part(text: str, message: str) -> float:
    """Return the part of the words of a message that a text contains.

    A console may wrap, cut, colour or capitalize the message, and JSON escapes characters. Therefore, only ASCII words
    count, if there are any.
    """
    text, message = text.lower(), message[:_COMPARED].lower()
    words = {word for word in _WORD.findall(message) if word.isascii()}
    words = words or set(_WORD.findall(message)) or {message.strip()}
    is_escaped = not message.isascii() and ("\\u" in text or "\\x" in text or "?" in text)
    return sum(word in text or (is_escaped and not word.isascii()) for word in words) / len(words)
