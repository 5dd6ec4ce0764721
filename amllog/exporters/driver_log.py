"""The driver log: one readable line per record on stdout, written and flushed in the calling thread.

A line is plain text, coloured text or JSON. A line that cannot be written is counted with the reason. The caller gets
no error, because the record is in the journal.
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
from amllog.exporters import terminal_bars
from amllog.process import interrupts
from amllog.process.interrupts import is_from_signal
from amllog.record.envelope import format_timestamp
from amllog.record.lazy_pattern import LazyPattern
from amllog.record.line_format import LEVEL_COLOURS, quoted_value
from amllog.record.text import CONTROLS, escape_character, escape_json_controls

_GREY, _OFF = "\x1b[90m", "\x1b[0m"
_CONTROLS = LazyPattern(f"(?![\t\n])[{CONTROLS}]")

# Lines that one thread writes at once. A signal handler may log during a write, and a stdout may log endlessly.
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
    """The outlet `driver_log`. It writes to the `sys.stdout` of the moment, for example to a notebook's cell.

    `form`: `plain`, `console` (with colours), `json`, or `auto` (`console` on a terminal or in a notebook).
    `level`: the lowest level that is written. `common`: dimensions of every record, which only `json` repeats.
    `terminal`: the value of TERM.
    """

    name = "driver_log"

    def __init__(self, form: str, level: int, common: Mapping[str, str], terminal: str = "") -> None:
        self.level = level
        self._form, self._terminal = form, terminal
        self._common = dict(common)
        self._delivered = itertools.count()  # next() is atomic, so threads need no lock
        self._refused: Counter[str] = Counter()
        self.writing: dict[int, list[str]] = {}  # the lines that each thread is writing now
        self._is_file = False  # so that the stream cannot log the lines that are written to it
        self._is_terminal = False
        # `sys.stdout` of the last line, and the stream and the format that belong to it.
        self._target: tuple[Any, Any, Callable[[Line], str]] = (None, None, _plain)

    def continue_counts(self, previous: DriverLog) -> None:
        """Continue the counts of the driver log before a second `setup()`."""
        self._delivered, self._refused = previous._delivered, previous._refused

    def forked(self) -> None:
        """Reset the counts in a forked child, because all lines so far are its parent's."""
        self._delivered, self._refused = itertools.count(), Counter()
        self.writing = {}

    def write(self, line: Line) -> None:
        """Write and flush one line. A failure is counted with its reason."""
        stdout, stream, form = self._target
        try:
            if stdout is not sys.stdout:
                stream, form = self._select_target(sys.stdout)
            if stream is None:  # pythonw, a detached daemon
                self._refused["no stdout"] += 1
                return
            if self._is_terminal:
                with terminal_bars.cleared_bars():
                    _write(stream, f"{terminal_bars.empty_row(stream, self._terminal)}{form(line)}\n")
            elif self._is_file:
                _write(stream, form(line) + "\n")
            else:
                self._write_tracked(stream, form(line) + "\n")
        # stdout may be closed, full or any object of the script. The record is in the journal.
        except Exception as error:
            if is_from_signal(error):
                raise
            self._refused[f"stdout: {type(error).__name__}"] += 1
            _drop_buffered(stream, error)
        else:
            next(self._delivered)

    def _write_tracked(self, stream: Any, line: str) -> None:
        lines = self.writing.setdefault(threading.get_ident(), [])
        if len(lines) >= MAX_NESTED:
            raise RecursionError("stdout logs the lines that are written to it")
        lines.append(line)
        try:
            _write(stream, line)
        finally:
            lines.pop()
            if not lines:
                self.writing.pop(threading.get_ident(), None)

    def is_writing(self, message: str) -> bool:
        """Return whether this thread is writing a line with this message.

        A stdout that logs the lines written to it would otherwise record each of them again.
        """
        message, lines = message.strip(), self.writing.get(threading.get_ident(), ())
        return any(message in line or line.strip() in message for line in lines)

    def count_delivered(self) -> None:
        """Count a line that another handler or Python itself has written to the driver log."""
        next(self._delivered)

    def account(self) -> OutletAccount:
        """Return the counts of delivered and refused lines."""
        return OutletAccount(int(repr(self._delivered)[6:-1]), 0, dict(self._refused))

    def _select_target(self, stdout: Any) -> tuple[Any, Callable[[Line], str]]:
        """Return the stream and the format for a new `sys.stdout`."""
        # Not the stream that captures prints, but the one below it. A stream that delegates to it stays, such as that
        # of rich, which draws its bars again.
        stream = getattr(stdout, "__dict__", {}).get("amllog_beneath", stdout)
        form: Callable[[Line], str] = _plain
        if self._form == "json":
            form = partial(_json, common=self._common, ascii_only=not _is_utf(stream))
        elif self._form == "console" or (self._form == "auto" and _shows_colour(stream)):
            form = _console
        self._is_file = _is_file(stream)
        self._is_terminal = self._is_file and self._form != "json" and stream.isatty()
        self._target = stdout, stream, form
        return stream, form


def _drop_buffered(stream: Any, error: Exception) -> None:
    """Drop the buffered text of a pipe without a reader.

    Otherwise Python tries to write it again at exit, and exits with status 120. Only the standard streams are handled,
    because no other descriptor of the script may be replaced, even for a moment.
    """
    if not isinstance(error, BrokenPipeError):
        return
    with interrupts.suppress(OSError, ValueError, AttributeError):
        fd = stream.fileno()
        if fd not in (1, 2):
            return
        with open(os.devnull, "wb") as null:
            saved = os.dup(fd)
            try:
                os.dup2(null.fileno(), fd)
                stream.flush()
            finally:
                os.dup2(saved, fd)
                os.close(saved)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:  # characters outside the encoding, for example ASCII, become \uXXXX
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _is_file(stream: Any) -> bool:
    """Return whether a stream is Python's standard one, on a file, a pipe or a terminal."""
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
    """Return one JSON object. A dimension with the name of a standard member gets a `_` at its end."""
    members: dict[str, Any] = {
        "time": format_timestamp(line.seconds),
        "level": line.level_name,
        "logger": line.logger,
        "message": line.message,
    }
    if line.stack:
        members["stack"] = line.stack
    dimensions = {**common, **line.dimensions}
    renamed = {f"{key}_" if key in members else key: value for key, value in dimensions.items()}
    text = json.dumps({**members, **renamed}, ensure_ascii=ascii_only)
    # json.dumps escapes the characters below 32.
    is_safe = "\x7f" not in text if text.isascii() else text.isprintable()
    return text if is_safe else escape_json_controls(text)


def _is_utf(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")


def _colour(level: int) -> str:
    codes = (code for least, code in LEVEL_COLOURS.items() if level >= least)
    return f"\x1b[{next(codes, LEVEL_COLOURS[10])}m"


def _visible(text: str) -> str:
    """Return a string with escaped control characters and indented further lines.

    No text can look like a separate record, or move the cursor of a terminal.
    """
    if text.isprintable():
        return text
    escaped = _CONTROLS.sub(lambda match: escape_character(match.group()), text.replace("\r\n", "\n"))
    return escaped.replace("\n", "\n    ")


def _indented(stack: str) -> str:
    return "    " + _visible(stack)
