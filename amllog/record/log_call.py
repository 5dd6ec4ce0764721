"""Reads a log call: its message, its exception, and the place where it was made.

In: a call's arguments, a stdlib record, a frame. Out: text, an exception object, a `Place`; nothing here raises.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, NamedTuple

from amllog.process.interrupts import is_from_signal
from amllog.record import text
from amllog.record.lazy_pattern import LazyPattern
from amllog.record.secrets import secret_names
from amllog.record.secrets.provider_secrets import MASK

MAX_PLACES = 10_000  # that are remembered


class CallSite(NamedTuple):
    """Where in the script a record was made."""

    module: str
    file: str
    line: int


_PLACE = LazyPattern(r"%[-#0+ ]{0,5}[0-9.*]{0,20}[a-zA-Z]")  # of an argument
_NAME = LazyPattern(r"([\w.-]{1,80})[\"'\]]?[\s:=]{0,4}[\"']?\Z")
_NAME_CHARACTERS = 100  # more than a match can have: the search takes time at each character

_places: dict[tuple[str, int], CallSite] = {}
_USUAL = frozenset(
    (int, float, str)
)  # the usual arguments: asking an ABC about each takes longer than formatting it


def format_call(event: object, args: tuple[object, ...]) -> tuple[str, Mapping[Any, object]]:
    """(message, dimensions from args): `%` arguments as in logging, or the one dict that the old guide passes."""
    said = event if type(event) is str else text.to_text(event)
    if not args:
        return said, {}
    first: Any = args[0]
    if len(args) == 1 and type(first) not in _USUAL and issubclass(type(first), Mapping):
        return _percent(said, first), {} if "%(" in said else first
    return _percent(said, args), {}


def extra_dimensions(given: object) -> dict[Any, object]:
    """The dimensions in logging's `extra` argument, those under `custom_dimensions` among them."""
    if not isinstance(given, Mapping):
        return {"extra": given}
    found = dict(given)
    custom = found.pop("custom_dimensions", {})
    return {**found, **custom} if isinstance(custom, Mapping) else dict(given)


def format_record(entry: logging.LogRecord) -> str:
    """A stdlib record's message; like `getMessage`, but never raising."""
    args = entry.args
    if not args:
        return text.to_text(entry.msg)
    if type(args) is tuple and type(args[0]) in _USUAL:
        return _percent(text.to_text(entry.msg), args)
    return format_call(entry.msg, args if isinstance(args, tuple) else (args,))[0]


def _percent(said: str, args: Any) -> str:
    """`said % args`; if they do not fit, both are kept: logging would lose the line."""
    try:
        return str(said % args)
    except Exception as error:  # wrong number or type of arguments, or an argument's own __str__ fails
        if is_from_signal(error):
            raise
        if isinstance(args, Mapping) and "%(" not in said:  # "100% sure", with a dict of dimensions
            return said
        return f"{said} {text.to_text(_hidden(said, args) if isinstance(args, tuple) else args)}"


def _hidden(said: str, args: tuple[object, ...]) -> list[object]:
    """Arguments that do not fit, masked where the text before their place ends with the name of a secret."""
    parts = _PLACE.split(said)
    parts += [parts[-1] if len(parts) == 1 else ""] * (len(args) - len(parts))
    return [MASK if _is_secret(before, value) else value for before, value in zip(parts, args)]


def _is_secret(before: str, value: object) -> bool:
    words = _NAME.search(before[-_NAME_CHARACTERS:])
    kind = secret_names.secret_kind(words.group(1)) if words else ""
    return bool(kind) and not secret_names.is_not_secret(kind, value)


def find_exception(given: object) -> BaseException | None:
    """The exception of an `exc_info` argument: True, an exception, or sys.exc_info()'s tuple."""
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return given[1] if len(given) == 3 and isinstance(given[1], BaseException) else None
    said_so = issubclass(type(given), (int, str)) and bool(given)  # an array has no truth to ask for
    return sys.exc_info()[1] if said_so else None


def record_site(entry: logging.LogRecord) -> CallSite:
    """Where a stdlib record says that it was made."""
    if type(entry.pathname) is str and type(entry.lineno) is int:
        found = _places.get((entry.pathname, entry.lineno)) or line_site(entry.pathname, entry.lineno)
        if found.module == entry.module:
            return found
    return CallSite(entry.module, entry.pathname, entry.lineno)


def frame_site(frame: FrameType) -> CallSite:
    """Where a frame stands."""
    file, line = frame.f_code.co_filename, frame.f_lineno
    return _places.get((file, line)) or line_site(file, line)


def line_site(file: str, line: int) -> CallSite:
    """A line of a file."""
    place = _places.get((file, line))
    if place is None:
        place = CallSite(os.path.splitext(os.path.basename(file))[0], file, line)
        if len(_places) < MAX_PLACES:
            _places[file, line] = place
    return place


def exception_site(error: BaseException) -> CallSite:
    """Where an exception was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return CallSite("", "", 0) if trace is None else frame_site(trace.tb_frame)
