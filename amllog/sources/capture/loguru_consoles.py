"""Determine which handlers of loguru show a record on the driver log. Nothing is changed here.

A filter of the script is never called, because it may count. A handler with such a filter counts as silent. Then the
line may be twice on the driver log, but it is never missing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from amllog.sources.capture.console_streams import is_console

# The names that functions use which print.
_PRINTING = frozenset(("print", "stdout", "stderr", "tqdm", "echo"))
_FILTERS = "loguru._filters"


def shows(handlers: Iterable[Any], record: Mapping[str, Any]) -> bool:
    """Return whether one of the handlers writes a record of loguru to stdout or stderr."""
    return any(
        handler.levelno <= record["level"].no and _is_console(handler) and _passes(handler, record)
        for handler in handlers
    )


def shows_level(handlers: Iterable[Any], level: int) -> bool:
    """Return whether one of the handlers without a filter writes records of a level to stdout or stderr."""
    return any(
        handler.levelno <= level and _is_console(handler) and _is_open(handler) for handler in handlers
    )


@functools.lru_cache(maxsize=256)
def forwards(kind: Any) -> bool:
    """Return whether a class of logging's handlers passes records on to loguru, as `InterceptHandler` does."""
    function = getattr(kind, "emit", None)
    used = getattr(getattr(function, "__code__", None), "co_names", ())
    names = getattr(function, "__globals__", {})
    return "loguru" in used or any(type(names.get(name)).__module__ == "loguru._logger" for name in used)


def _is_console(handler: Any) -> bool:
    sink = getattr(handler, "_sink", None)
    stream = getattr(sink, "_stream", None)
    if stream is None:  # a handler of logging, or one of rich
        target = getattr(sink, "_handler", None)
        stream = getattr(target, "stream", None) or getattr(getattr(target, "console", None), "file", None)
    if stream is not None:
        return is_console(stream) is True
    function = getattr(sink, "_function", None)
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    return function is print or not _PRINTING.isdisjoint(names)


def _is_open(handler: Any) -> bool:
    """Return whether a handler has no filter, or loguru's usual one."""
    chosen = getattr(handler, "_filter", None)
    return chosen is None or getattr(chosen, "__name__", "") == "filter_none"


def _passes(handler: Any, record: Mapping[str, Any]) -> bool:
    """Return whether a handler's filter accepts a record. Only loguru's own ones are called, which are pure."""
    chosen = getattr(handler, "_filter", None)
    is_own = getattr(getattr(chosen, "func", chosen), "__module__", "") == _FILTERS
    return chosen is None or (is_own and bool(chosen(record)))
