"""The driver log: one readable line per record on stdout, in the caller's thread.

In: what a record says (time, level, logger, message, its own dimensions, a traceback). Out: a line, flushed, in
plain text, colour, or JSON; where it could not be written it is counted, and the caller never hears of it.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TextIO

from amllog.delivery.account import OutletAccount
from amllog.process import interrupts
from amllog.process.interrupts import is_from_signal
from amllog.record.envelope import format_timestamp
from amllog.record.lazy_pattern import LazyPattern
from amllog.record.line_format import LEVEL_COLOURS, quoted_value
from amllog.record.text import CONTROLS, escape_character, escape_json_controls

_GREY, _OFF = "\x1b[90m", "\x1b[0m"
_CONTROL = LazyPattern(f"(?![\t\n])[{CONTROLS}]")

# Lines that one thread writes at once: a signal handler may log, and a stdout may log without end.
MAX_NESTED = 2


class Line(NamedTuple):
    """The content of one line of the driver log."""

    seconds: float
    level: int
    level_name: str
    logger: str
    message: str
    dimensions: Mapping[str, str]
    stack: str = ""


class DriverLog:
    """Writes lines to whatever `sys.stdout` is at the moment of the call: a notebook's cell, pytest's capture."""

    name = "driver_log"

    def __init__(self, form: str, level: int, common: Mapping[str, str]) -> None:
        self.level = level
        self._form = form
        self._common = dict(common)  # stands on every record: only the JSON form repeats it on every line
        self._delivered = itertools.count()  # next() is atomic: threads need no lock to count
        self._refused: Counter[str] = Counter()
        self.writing: dict[int, list[str]] = {}  # the texts that each thread is writing now
        self._is_plain = False  # whether the stream cannot log what is written to it
        self._seen: tuple[Any, Any, Callable[[Line], str]] = (
            None,
            None,
            _plain,
        )  # stdout, and what to do with it

    def continue_counts(self, before: DriverLog) -> None:
        """Take over the counts of the one before."""
        self._delivered, self._refused = before._delivered, before._refused

    def forked(self) -> None:
        """In a forked child: the lines are its parent's, also those that other threads were writing."""
        self._delivered, self._refused = itertools.count(), Counter()
        self.writing = {}

    def write(self, line: Line) -> None:
        """Write and flush one line; a failure is counted with its reason."""
        stdout, stream, form = self._seen
        try:
            if stdout is not sys.stdout:
                stream, form = self._look(sys.stdout)
            if stream is None:  # pythonw, a detached daemon
                self._refused["no stdout"] += 1
                return
            if self._is_plain:
                _put(stream, form(line) + "\n")
            else:
                self._put(stream, form(line) + "\n")
        except Exception as error:  # closed, full, replaced by something odd: the record is in the journal
            if is_from_signal(error):
                raise
            self._refused[f"stdout: {type(error).__name__}"] += 1
            _discard(stream, error)
        else:
            next(self._delivered)

    def _put(self, stream: Any, said: str) -> None:
        own = self.writing.setdefault(threading.get_ident(), [])
        if len(own) >= MAX_NESTED:
            raise RecursionError("stdout logs what is written to it")
        own.append(said)
        try:
            _put(stream, said)
        finally:
            own.pop()
            if not own:
                self.writing.pop(threading.get_ident(), None)

    def is_writing(self, message: str) -> bool:
        """Return whether this thread is writing a line with this message: a stdout that logs brings it back."""
        said = message.strip()
        return any(
            said in line or line.strip() in said for line in self.writing.get(threading.get_ident(), ())
        )

    def count_delivered(self) -> None:
        """Count a line that another handler, or Python itself, has put on the driver log."""
        next(self._delivered)

    def account(self) -> OutletAccount:
        """The counts of delivered and refused lines."""
        return OutletAccount(int(repr(self._delivered)[6:-1]), 0, self._refused)

    def _look(self, stdout: Any) -> tuple[Any, Callable[[Line], str]]:
        """Where to write, and in which form, now that `sys.stdout` is another one."""
        stream = getattr(stdout, "amllog_beneath", stdout)  # not into our own capture of prints
        form: Callable[[Line], str] = _plain
        if self._form == "json":
            form = partial(_json, common=self._common, ascii_only=not _speaks_unicode(stream))
        elif self._form == "console" or (self._form == "auto" and _shows_colour(stream)):
            form = _console
        self._is_plain = _is_of_a_file(stream)
        self._seen = stdout, stream, form
        return stream, form


def _discard(stream: Any, error: Exception) -> None:
    """Drop the text that a pipe without a reader did not take.

    Otherwise Python tries to write it again when it ends, and exits with status 120. Only the standard streams are
    handled: no other descriptor of the script is replaced, even for a moment.
    """
    if not isinstance(error, BrokenPipeError):
        return
    with interrupts.suppress(OSError, ValueError, AttributeError):
        number = stream.fileno()
        if number not in (1, 2):
            return
        with open(os.devnull, "wb") as null:
            kept = os.dup(number)
            try:
                os.dup2(null.fileno(), number)
                stream.flush()
            finally:
                os.dup2(kept, number)
                os.close(kept)


def _put(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:  # an ASCII locale: what it cannot show appears as \uXXXX
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _is_of_a_file(stream: Any) -> bool:
    """Return whether a stream is Python's own, on a file, a pipe or a terminal."""
    buffer = getattr(stream, "buffer", None) if type(stream) is io.TextIOWrapper else None
    return type(buffer) is io.BufferedWriter and type(buffer.raw) is io.FileIO


def _shows_colour(stream: TextIO) -> bool:
    isatty = getattr(stream, "isatty", None)
    return type(stream).__module__.startswith("ipykernel") or bool(isatty and isatty())


def _plain(line: Line) -> str:
    words = f"{line.level_name:<8} {line.logger}: {line.message}"
    for key, value in line.dimensions.items():
        words += f"  {key}={value if value.isalnum() else quoted_value(value)}"
    if not words.isprintable():
        pairs = "".join(f"  {_visible(key)}={quoted_value(value)}" for key, value in line.dimensions.items())
        words = f"{_visible(line.level_name):<8} {_visible(line.logger)}: {_visible(line.message)}{pairs}"
    head = f"{format_timestamp(line.seconds)[:23]}Z {words}"
    return f"{head}\n{_indented(line.stack)}" if line.stack else head


def _console(line: Line) -> str:
    colour = _colour(line.level)
    pairs = "".join(
        f"  {_GREY}{_visible(key)}={_OFF}{quoted_value(value)}" for key, value in line.dimensions.items()
    )
    head = (
        f"{_GREY}{format_timestamp(line.seconds)[11:23]}{_OFF} {colour}{_visible(line.level_name):<8}{_OFF} "
        f"{_GREY}{_visible(line.logger)}:{_OFF} {_visible(line.message)}{pairs}"
    )
    return f"{head}\n{_indented(line.stack)}" if line.stack else head


def _json(line: Line, common: Mapping[str, str], *, ascii_only: bool) -> str:
    """One object; a dimension that has the name of a member of ours gets a `_` behind it."""
    said: dict[str, Any] = {
        "time": format_timestamp(line.seconds),
        "level": line.level_name,
        "logger": line.logger,
        "message": line.message,
    }
    if line.stack:
        said["stack"] = line.stack
    stamped = {**common, **line.dimensions}
    rest = {f"{key}_" if key in said else key: value for key, value in stamped.items()}
    text = json.dumps({**said, **rest}, ensure_ascii=ascii_only)
    fine = "\x7f" not in text if text.isascii() else text.isprintable()  # json.dumps escapes those below 32
    return text if fine else escape_json_controls(text)


def _speaks_unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")


def _colour(level: int) -> str:
    codes = (code for least, code in LEVEL_COLOURS.items() if level >= least)
    return f"\x1b[{next(codes, LEVEL_COLOURS[10])}m"


def _visible(text: str) -> str:
    """`text` whose further lines are indented and whose control characters are visible, so that no text can
    pass for a record of its own or move a terminal's cursor."""
    if text.isprintable():
        return text
    shown = _CONTROL.sub(lambda match: escape_character(match.group()), text.replace("\r\n", "\n"))
    return shown.replace("\n", "\n    ")


def _indented(stack: str) -> str:
    return "    " + _visible(stack)
