"""Determine the exception that ends a process of `multiprocessing`, or of a package with its interface.

`BaseProcess._bootstrap` calls the function of the process, and catches each exception. Up to Python 3.12, it calls the
finalizers while the exception is in flight. From 3.13 on, the process calls its exit handlers after that. Then the
exception is known from `traceback.print_exc()`, with which `_bootstrap` shows it. A SystemExit is not shown. The
exception behind it is noted when `sys.exit` is called.
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from amllog.process.hooks import Hook
from amllog.process.workers import family_modules


def hook(on_end: Callable[[str, BaseException | None], object]) -> Hook:
    """Return the hook of `traceback.print_exc` that calls `on_end` with the name and the exception of this process."""

    def print_exc(*args: Any, **options: Any) -> Any:
        name = _name_of(sys._getframe(1))
        if name:
            on_end(name, sys.exc_info()[1])
        return over.before(*args, **options)

    over = Hook(traceback, "print_exc", functools.wraps(traceback.print_exc)(print_exc))
    return over


def name_of_ended(error: BaseException | None) -> str:
    """Return the name of the process that an exception in flight ends now, or "" if it ends none.

    In another forked process, an exception that the parent was handling may be in flight.
    """
    trace = error.__traceback__ if error is not None else None
    return _name_of(trace.tb_frame) if trace is not None else ""


class NotedExit:
    """The last exit below the function of this process that has an exception behind it."""

    def __init__(self, code: int, cause: Exception, caller: FrameType | None) -> None:
        """`caller`: the frame that called `sys.exit`."""
        while caller is not None and not _name_of(caller):
            caller = caller.f_back
        self._code, self._cause, self._bootstrap = code, cause, caller

    def result(self) -> tuple[str, Exception | None]:
        """Return the name of the process and the exception, or "" and None if the function caught the SystemExit."""
        frame = self._bootstrap
        if frame is None or frame.f_locals.get("exitcode") != self._code:
            return "", None
        return _name_of(frame), self._cause


def _name_of(frame: FrameType) -> str:
    """Return the name of the process whose `_bootstrap` a frame is, or "" if it is another frame."""
    if frame.f_code.co_name != "_bootstrap":
        return ""
    if not any(frame.f_globals is vars(module) for module in family_modules("process")):
        return ""
    return str(getattr(frame.f_locals.get("self"), "name", "")) or "?"
