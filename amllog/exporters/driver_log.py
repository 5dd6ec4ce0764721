"""The driver log: one readable line per record on stdout, written and flushed in the calling thread.

A line is plain text, coloured text or JSON. A line that cannot be written is counted with the reason. The caller gets
no error, because the record is in the journal.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from amllog.delivery.account import OutletAccount
from amllog.exporters import terminal_bars
from amllog.exporters.driver_streams import drop_buffered, is_file, is_utf, shows_colour, write_text
from amllog.exporters.echoes import KEPT, MAX_CHARACTERS, Echoes, Site, is_read_here
from amllog.process.interrupts import is_from_signal
from amllog.process.own_work import THREAD, WRITING
from amllog.record.envelope import format_timestamp
from amllog.record.lazy_pattern import LazyPattern
from amllog.record.line_format import LEVEL_COLOURS, quoted_value
from amllog.record.text import CONTROLS, escape_character, escape_json_controls

_GREY, _OFF = "\x1b[90m", "\x1b[0m"
_CONTROLS = LazyPattern(f"(?![\t\n])[{CONTROLS}]")
LOOP_SECONDS = 10.0  # a loop makes its records in less time
_NOTEBOOKS_AND_TESTS = ("ipykernel", "_pytest")  # their streams bring nothing back


# The written lines, and the streams of the script that log what is written to them. They belong to the process, because
# notices and a second setup() write to the same stdout.
_ECHOES = Echoes()
_LOGGERS: list[Any] = []


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
        self.echoes, self._loggers = _ECHOES, _LOGGERS
        self._position = 0
        self.mark = "Z"  # a character of each line, also of one that comes back
        self._is_file = self._is_terminal = False
        # `sys.stdout` of the last line, and the stream and the format that belong to it.
        self._target: tuple[Any, Any, Callable[[Line], str]] = (None, None, _plain)

    def continue_counts(self, previous: DriverLog) -> None:
        """Continue the counts of the driver log before a second `setup()`."""
        self._delivered, self._refused = previous._delivered, previous._refused

    def forked(self) -> None:
        """Reset the counts in a forked child, because all lines so far are its parent's."""
        self._delivered, self._refused = itertools.count(), Counter()

    def write(self, line: Line) -> None:
        """Write and flush one line. A failure is counted with its reason."""
        stdout, stream, form = self._target
        try:
            if stdout is not sys.stdout:
                stream, form = self._select_target(sys.stdout)
            if stream is None:  # pythonw, a detached daemon
                self._refused["no stdout"] += 1
                return
            text = form(line)
            self._position = position = (self._position + 1) % KEPT
            self.echoes.lines[position] = text[:MAX_CHARACTERS]
            if self._is_terminal:
                with terminal_bars.cleared_bars():
                    write_text(stream, f"{terminal_bars.empty_row(stream, self._terminal)}{text}\n")
            elif self._is_file:
                write_text(stream, f"{text}\n")
            else:
                self._write_tracked(stream, f"{text}\n")
        # stdout may be closed, full or any object of the script. The record is in the journal.
        except Exception as error:
            if is_from_signal(error):
                raise
            self._refused[f"stdout: {type(error).__name__}"] += 1
            drop_buffered(stream, error)
        else:
            next(self._delivered)

    def _write_tracked(self, stream: Any, line: str) -> None:
        """Write to an object of the script. If it logs the line, Python's own stdout gets this line and all others."""
        before = THREAD.begin(WRITING)
        try:
            write_text(stream, line)
        finally:
            has_caused = THREAD.end(before)
        if has_caused:
            self.avoid(stream)
            usable = self._target[1]
            if usable is not None and usable is not stream:
                write_text(usable, line)

    def avoid(self, stream: Any = None) -> None:
        """Write no further line to a stream that logs the lines. By default, it is the present one."""
        stream = self._target[1] if stream is None else stream
        if stream is not None and not is_file(stream):
            self._loggers.append(stream)
            self._select_target(sys.stdout)

    def is_return(self, message: str, site: Site) -> bool:
        """Return whether a message is a line that comes back. The stream gets no further ones. `site`: its place."""
        is_echo = self.echoes.is_echo(message, site)
        if is_echo:
            self.avoid()
        return is_echo

    def end_loop(self, site: Site, seconds: float) -> None:
        """Write no further lines for a call site that has made many records in a row, if lines may come back to it.

        It may be a stdout that logs something else for each line that is written to it. `seconds`: since the first one.
        """
        is_other_thread = threading.current_thread() is not threading.main_thread()
        if seconds < LOOP_SECONDS and is_other_thread and self.may_return:
            self.echoes.add_site(site)

    @property
    def may_return(self) -> bool:
        """Return whether lines may come back: stdout is an object of the script, or a pipe that this process reads."""
        stream = self._target[1]
        if type(stream).__module__.partition(".")[0] in _NOTEBOOKS_AND_TESTS:
            return False
        return not self._is_file or is_read_here(stream)

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
        if any(stream is known for known in self._loggers):
            stream = sys.__stdout__
        form: Callable[[Line], str] = _plain
        if self._form == "json":
            form = partial(_json, common=self._common, ascii_only=not is_utf(stream))
        elif self._form == "console" or (self._form == "auto" and shows_colour(stream)):
            form = _console
        self.mark = ":" if form is _console else "Z"
        self._is_file = is_file(stream)
        self._is_terminal = self._is_file and self._form != "json" and stream.isatty()
        self._target = stdout, stream, form
        return stream, form


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
