"""Admit log calls below the level of the root logger for amllog, without a change that other code can see.

The level of the root logger applies to all loggers without a level. Other handlers depend on it, and so does code that
reads it (`getEffectiveLevel`, `isEnabledFor`, `root.level`). Therefore, amllog does not change it. It hooks
`Logger.isEnabledFor` instead, which answers as without amllog, with one exception. If a log method calls it, and only
the level of the root logger prevents the record, the answer is yes. The record takes the usual path (filters of its
logger, record factory, call site) to `callHandlers`. There, `is_admitted` recognizes it, and only our handler gets it.

`logging.disable`, `Logger.disabled`, the level of a logger below the root, and a level that the script sets on the root
logger after `setup()` apply to amllog as well.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from amllog.process.hooks import Hook
from amllog.sources.emitter import Emitter

_LOG_METHODS = frozenset(
    ("debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "log")
)
# The maximum number of frames between `is_admitted` and the log method.
_MAX_FRAMES = 10
# The same object for all generations of logging, because a reload keeps the dictionary of the module.
_LOGGING: dict[str, Any] = vars(logging)


class _Admitted(threading.local):
    """The method outside logging whose call was admitted last in a thread."""

    code: CodeType | None = None

    def remember(self, code: CodeType | None) -> None:
        """Set the code of the method."""
        self.code = code


class LevelGate:
    """The hook of `Logger.isEnabledFor` in one generation of logging."""

    def __init__(
        self, kind: type[logging.Logger], emitter: Emitter, put_on_top: Callable[[], object]
    ) -> None:
        """`put_on_top` puts the hook of `callHandlers` over those of other libraries."""
        self._kind, self._emitter, self._put_on_top = kind, emitter, put_on_top
        self.root: logging.Logger = kind.root
        # The level that does not apply to amllog. It is None after `close()`, if another library still calls our hook.
        self._level: int | None = self.root.level
        self._admitted = _Admitted()
        # The hook of `callHandlers`, which must be the first one when a log call is admitted.
        self._dispatch: object = None
        self.hook = self.new_hook()

    def new_hook(self) -> Hook:
        """Return a hook over the present `isEnabledFor`, which may be another library's by now."""
        self.hook = Hook(self._kind, "isEnabledFor", self._over(self._kind.isEnabledFor))
        return self.hook

    def use_dispatch(self, dispatch: object) -> None:
        """Set the hook of `callHandlers` that belongs to this one."""
        self._dispatch = dispatch

    def accept_level(self) -> None:
        """Ignore the present level of the root logger for amllog, as at `setup()`."""
        self._level = self.root.level

    def close(self) -> None:
        """Admit nothing from now on."""
        self._level = None

    def _over(
        self, is_enabled: Callable[[logging.Logger, int], bool]
    ) -> Callable[[logging.Logger, int], bool]:
        emitter, admits = self._emitter, self._admits

        @functools.wraps(is_enabled)
        def isEnabledFor(logger: logging.Logger, level: int) -> bool:  # noqa: N802  # the name in tracebacks
            """Return whether the logger is enabled for the level, or amllog admits the log call."""
            if is_enabled(logger, level):
                return True
            return level >= emitter.threshold and admits(logger, level, sys._getframe(1))

        return isEnabledFor

    def _admits(self, logger: logging.Logger, level: int, caller: FrameType) -> bool:
        """Return whether a log method asks, and only the level of the root logger prevents the record."""
        root = self.root
        if not level < root.level == self._level or logger.disabled:
            return False
        current: logging.Logger = logger
        while not current.level and current.parent is not None:
            current = current.parent
        if current is not root or logger.manager.disable >= level:
            return False
        asked: object = logger
        frame: FrameType | None = caller
        while frame is not None and frame.f_globals is _LOGGING and frame.f_code.co_name == "isEnabledFor":
            asked, frame = frame.f_locals.get("self"), frame.f_back  # of a LoggerAdapter
        if frame is None:
            return False
        if frame.f_globals is not _LOGGING:
            if not _is_method(frame, asked):
                return False
            self._admitted.remember(frame.f_code)
        elif frame.f_code.co_name not in _LOG_METHODS:
            return False
        if self._kind.callHandlers is not self._dispatch:
            self._put_on_top()
        return True

    def is_admitted(self, logger: logging.Logger, entry: logging.LogRecord) -> bool:
        """Return whether other handlers would not get this record without amllog. Called below `callHandlers`.

        `isEnabledFor` cannot answer here. Since Python 3.13.4, a logger is disabled while its thread handles a record.
        """
        if entry.levelno >= logger.getEffectiveLevel() or not self._decides_for(type(logger)):
            return False
        frame: FrameType | None = sys._getframe(1)
        is_below_log = False
        for _ in range(_MAX_FRAMES):
            if frame is None:
                return False
            code = frame.f_code
            if code.co_name == "_log":
                is_below_log = True
            elif is_below_log:
                if frame.f_globals is _LOGGING and code.co_name in _LOG_METHODS:
                    return True
                admitted = self._admitted.code
                self._admitted.remember(None)
                return code is admitted
            frame = frame.f_back
        return False

    def _decides_for(self, kind: type) -> bool:
        """Return whether the loggers of a class use the hooked method and not one of their own."""
        return next((base for base in kind.__mro__ if "isEnabledFor" in vars(base)), None) is self._kind


def _is_method(frame: FrameType, asked: object) -> bool:
    """Return whether code outside logging asks as a log method: its next step is to log, and not to do other work.

    It is a method of the logger's or adapter's class, or it calls `_log`, as the usual recipe for another level does.
    """
    code = frame.f_code
    method = getattr(type(asked), code.co_name, None)
    if getattr(method, "__code__", None) is code:
        return True
    if "_log" not in code.co_names:
        return False
    # `_log` may be a method of the script's own object.
    owner = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
    return isinstance(owner, (logging.Logger, logging.LoggerAdapter)) or not hasattr(owner, "_log")
