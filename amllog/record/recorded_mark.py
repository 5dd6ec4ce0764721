"""Mark exceptions that this process has recorded, so that their way out of the process is not recorded again."""

from __future__ import annotations

import os

_MARK = "__amllog_recorded__"


def mark_recorded(error: BaseException) -> None:
    """Mark an exception."""
    _attributes(error)[_MARK] = _value(error)


def is_recorded(error: BaseException) -> bool:
    """Return whether this process has marked the exception. A copy of it, from another process, is not marked."""
    return _attributes(error).get(_MARK) == _value(error)


def _value(error: BaseException) -> tuple[int, int]:
    return os.getpid(), id(error)


def _attributes(error: BaseException) -> dict[str, object]:
    """Return the attributes of an exception, without a call of its methods."""
    attributes: dict[str, object] = BaseException.__dict__["__dict__"].__get__(error)
    return attributes
