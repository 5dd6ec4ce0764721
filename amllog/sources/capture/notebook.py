"""Capture uncaught exceptions in a notebook. IPython calls no excepthook, but reports the end of each cell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from amllog.process import exits, interrupts
from amllog.process.hooks import Hook
from amllog.record.envelope import UNCAUGHT_LOGGER
from amllog.sources.messages import Messages

_EVENT = "post_run_cell"


class Notebook:
    """The cells of a session."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self.failure = ""  # how the last cell ended, empty at success
        self._shell: Any = None
        self._last_result: Any = None

    def hook(self) -> Hook | None:
        """Return the hook for the shell of this process, None without one."""
        module = sys.modules.get("IPython")
        self._shell = module.get_ipython() if module is not None else None
        if self._shell is None:
            return None
        self._last_result = getattr(self._shell, "last_execution_result", None)
        return _Callback(self._shell, self._cell_ended)

    def record_end(self) -> None:
        """Record how the last cell ended, if a program has removed the callback."""
        if self._shell is None or self._cell_ended in self._shell.events.callbacks.get(_EVENT, ()):
            return
        result = getattr(self._shell, "last_execution_result", None)
        if result is not None and result is not self._last_result:
            self._cell_ended(result)

    def _cell_ended(self, result: Any) -> None:
        """Record the exception of a cell. A later cell that succeeds makes the step succeed."""
        self._last_result = result
        error = result.error_before_exec or result.error_in_exec
        self.failure = ""
        try:
            if isinstance(error, SystemExit):
                code = exits.exit_code(error.code)
                self.failure = exits.describe(code) if code else ""
            elif error is not None and not isinstance(error, KeyboardInterrupt):
                self.failure = exits.UNCAUGHT
            if self.failure:
                self._messages.uncaught("Uncaught exception in a cell", error, UNCAUGHT_LOGGER)
        except BaseException as interruption:  # IPython discards exceptions of this callback
            interrupts.raise_later(interruption)


class _Callback(Hook):
    """A callback that is registered with IPython and removed like a Hook."""

    def __init__(self, shell: Any, callback: Callable[..., None]) -> None:
        self._shell, self._callback = shell, callback
        self._registered = False

    def put(self) -> None:
        """Register the callback."""
        self._registered = True
        self._shell.events.register(_EVENT, self._callback)

    def remove(self) -> None:
        """Unregister the callback."""
        if self._registered:
            with interrupts.suppress(
                ValueError
            ):  # a signal came before it was registered, or a program removed it
                self._shell.events.unregister(_EVENT, self._callback)
        self._registered = False
