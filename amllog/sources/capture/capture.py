"""Capture stdlib logging, warnings, uncaught exceptions, notebook cells and prints through Python's hooks.

Each hook calls the one of the program, also one that the program sets later. `remove()` removes ours.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from amllog.process.hooks import Hook, Hooks
from amllog.sources.capture.exceptions import ExceptionCapture
from amllog.sources.capture.stdlib_logging import LoggingCapture
from amllog.sources.capture.stdout import Tee
from amllog.sources.capture.warnings_capture import warnings_hook
from amllog.sources.recorder import Recorder


class Capture:
    """All hooks of a session."""

    def __init__(self, recorder: Recorder, *, on_handler: Callable[[logging.Handler], object]) -> None:
        """`on_handler` is called for every other handler that a stdlib record reaches."""
        self._recorder = recorder
        self._hooks = Hooks()
        self._loggers = LoggingCapture(recorder, on_handler)
        self.taker = self._loggers.taker
        self._exceptions = ExceptionCapture(recorder)

    @property
    def handler(self) -> logging.Handler | None:
        """The handler on the root logger, if logging is captured."""
        return self._loggers.handler

    @property
    def failure(self) -> str:
        """The reason why the main thread ended, empty at success."""
        return self._exceptions.failure

    def record_end(self, reason: str, cause: Exception | None) -> None:
        """Record the exception that ends this process. Parameters as for `ExceptionCapture.record_end`."""
        self._exceptions.record_end(reason, cause)

    def install(self, what: Sequence[str], handler: logging.Handler) -> None:
        """Capture only the listed sources (logging, warnings, exceptions, prints). It may be called again."""
        if "logging" in what:
            self._loggers.install(handler)
        else:
            self._loggers.remove()
        self._hooks.remove()
        self._exceptions.remove()
        if "warnings" in what:
            self._hooks.put(warnings_hook(self._recorder.messages))
        if "exceptions" in what:
            self._exceptions.install()
        # Without a stdout, as in pythonw or a daemon, print() does nothing.
        if "prints" in what and getattr(sys, "stdout", None) is not None:
            self._hooks.put(Hook(sys, "stdout", Tee(sys.stdout, self._recorder)))

    def remove(self) -> None:
        """Remove all hooks."""
        self._hooks.remove()
        self._exceptions.remove()
        self._loggers.remove()
