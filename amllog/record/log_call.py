"""Extract the message, the dimensions, the exception and the call site from a log call.

The functions never raise: a record with a wrong format string is better than a script that fails.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, NamedTuple, Protocol

from amllog.process.interrupts import is_from_signal
from amllog.record import text
from amllog.record.lazy_pattern import LazyPattern
from amllog.record.secrets import secret_names
from amllog.record.secrets.provider_secrets import MASK

MAX_SITES = 10_000  # in the cache
_LOGGING_FILE = logging.addLevelName.__code__.co_filename


class CallSite(NamedTuple):
    """The line of the script that made a record."""

    module: str
    file: str
    line: int


_PLACEHOLDER = LazyPattern(r"%[-#0+ ]{0,5}[0-9.*]{0,20}[a-zA-Z]")
_NAME = LazyPattern(r"([\w.-]{1,80})[\"'\]]?[\s:=]{0,4}[\"']?\Z")
# Longer than a match, so that the search does not start at each character of a long message.
_NAME_CHARACTERS = 100

_sites: dict[tuple[str, int], CallSite] = {}
# For the usual types of arguments, a check against an ABC takes longer than the formatting.
_USUAL = frozenset((int, float, str))


def format_call(event: object, args: tuple[object, ...]) -> tuple[str, Mapping[Any, object]]:
    """Return the message and the dimensions of a call with positional arguments.

    The arguments are inserted with `%`, as in logging. A single mapping without `%(…)` in the message is dimensions:
    the old logging guide passes dimensions so.
    """
    message = event if type(event) is str else text.to_text(event)
    if not args:
        return message, {}
    first: Any = args[0]
    if len(args) == 1 and type(first) not in _USUAL and issubclass(type(first), Mapping):
        return _percent(message, first), {} if "%(" in message else first
    return _percent(message, args), {}


def extra_dimensions(extra: object) -> dict[Any, object]:
    """Return the dimensions in the `extra` argument of logging, including those under `custom_dimensions`."""
    if not isinstance(extra, Mapping):
        return {} if extra is None else {"extra": extra}
    dimensions = dict(extra)
    custom = dimensions.pop("custom_dimensions", {})
    return {**dimensions, **custom} if isinstance(custom, Mapping) else dict(extra)


class Event(Protocol):
    """The parts of an event of another library whose record of logging has one string."""

    error: BaseException | None
    message: str
    site: CallSite | None
    values: dict[Any, object] | None


class DictEvent(NamedTuple):
    """A message that is a dict, as for python-json-logger: its own message, and its other values."""

    message: str
    values: dict[Any, object]


def dict_event(given: dict[Any, Any]) -> DictEvent | None:
    """Return the parts of a dict with a string under `message` or `event`, or None."""
    key = next((key for key in ("message", "event") if type(given.get(key)) is str), None)
    if key is None:
        return None
    return DictEvent(given[key], {name: value for name, value in given.items() if name != key})


def format_record(entry: logging.LogRecord) -> str:
    """Return the message of a stdlib record, like `getMessage` but without raising."""
    args = entry.args
    if not args:
        return text.to_text(entry.msg)
    if type(args) is tuple and type(args[0]) in _USUAL:
        return _percent(text.to_text(entry.msg), args)
    return format_call(entry.msg, args if isinstance(args, tuple) else (args,))[0]


def _percent(message: str, args: Any) -> str:
    """Return `message % args`, or both if the arguments do not match. logging would lose such a line."""
    try:
        return str(message % args)
    except Exception as error:  # wrong number or types of arguments, or the __str__ of an argument fails
        if is_from_signal(error):
            raise
        if isinstance(args, Mapping) and "%(" not in message:  # "100% sure", with a dict of dimensions
            return message
        return f"{message} {text.to_text(_masked(message, args) if isinstance(args, tuple) else args)}"


def _masked(message: str, args: tuple[object, ...]) -> list[object]:
    """Return the arguments, masked where the name of a secret is before their placeholder."""
    parts = _PLACEHOLDER.split(message)
    parts += [parts[-1] if len(parts) == 1 else ""] * (len(args) - len(parts))
    return [MASK if _is_secret(before, value) else value for before, value in zip(parts, args)]


def _is_secret(before: str, value: object) -> bool:
    words = _NAME.search(before[-_NAME_CHARACTERS:])
    kind = secret_names.secret_kind(words.group(1)) if words else ""
    return bool(kind) and not secret_names.is_not_secret(kind, value)


def find_exception(exc_info: object) -> BaseException | None:
    """Return the exception of an `exc_info` argument: True, an exception, or the tuple of sys.exc_info()."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if len(exc_info) == 3 and isinstance(exc_info[1], BaseException) else None
    # bool() of other types, such as arrays, may raise.
    is_requested = issubclass(type(exc_info), (int, str)) and bool(exc_info)
    return sys.exc_info()[1] if is_requested else None


def record_site(entry: logging.LogRecord) -> CallSite:
    """Return the call site that a stdlib record names."""
    if type(entry.pathname) is str and type(entry.lineno) is int:
        site = _sites.get((entry.pathname, entry.lineno)) or line_site(entry.pathname, entry.lineno)
        if site.module == entry.module:
            return site
    return CallSite(entry.module, entry.pathname, entry.lineno)


def caller(frame: FrameType, stacklevel: object) -> FrameType:
    """Return the frame that `stacklevel` of logging selects. 1 is `frame`. Frames of logging itself do not count."""
    levels = stacklevel if type(stacklevel) is int else 1
    while frame.f_back is not None:
        if frame.f_code.co_filename != _LOGGING_FILE:
            levels -= 1
            if levels <= 0:
                break
        frame = frame.f_back
    return frame


def frame_site(frame: FrameType) -> CallSite:
    """Return the call site of a frame: its file and its current line."""
    file, line = frame.f_code.co_filename, frame.f_lineno
    return _sites.get((file, line)) or line_site(file, line)


def line_site(file: str, line: int) -> CallSite:
    """Return the call site of a line in a file, from the cache if it is there."""
    site = _sites.get((file, line))
    if site is None:
        site = CallSite(os.path.splitext(os.path.basename(file))[0], file, line)
        if len(_sites) < MAX_SITES:
            _sites[file, line] = site
    return site


def exception_site(error: BaseException) -> CallSite:
    """Return the call site of the line that raised an exception."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return CallSite("", "", 0) if trace is None else frame_site(trace.tb_frame)
