"""Capture stdlib logging, warnings, uncaught exceptions, notebook cells and prints through Python's hooks.

Each hook calls the one that was there before. `remove()` removes each hook, unless another library has put its hook
over it meanwhile.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, TextIO

from amllog.process import exits, interrupts
from amllog.process.exits import Exits
from amllog.process.hooks import Chain, Hook, Hooks
from amllog.record import log_call, text
from amllog.record.envelope import UNCAUGHT_LOGGER
from amllog.record.lazy_pattern import LazyPattern
from amllog.sources.capture.stdlib_logging import LoggingCapture
from amllog.sources.capture.stdout import Tee
from amllog.sources.recorder import Recorder

# Also for hooks of an earlier session that remain under a hook of the script.
_CHAIN = Chain()
# The repr of a function, a generator or an instance in the message of an exception that Python ignores.
_REPR = LazyPattern(r" <(?:\w+ )*(\S+?)(?: object)? at 0x[0-9A-Fa-f]+>")


class Capture:
    """All hooks of a session."""

    def __init__(self, recorder: Recorder, *, on_handler: Callable[[logging.Handler], object]) -> None:
        """`on_handler` is called for every other handler that a stdlib record reaches."""
        self._recorder, self._messages = recorder, recorder.messages
        self._hooks = Hooks()
        self._loggers = LoggingCapture(recorder, on_handler)
        self.taker = self._loggers.taker
        # How the main thread ended, if by an exception.
        self._failure = ""
        self._exits = Exits()

    @property
    def handler(self) -> logging.Handler | None:
        """The handler on the root logger, if logging is captured."""
        return self._loggers.handler

    @property
    def failure(self) -> str:
        """The reason why the main thread ended, empty at success."""
        return self._failure or self._exits.result()

    def install(self, what: Sequence[str], handler: logging.Handler) -> None:
        """Capture only the listed sources (logging, warnings, exceptions, prints). It may be called again."""
        if "logging" in what:
            self._loggers.install(handler)
        else:
            self._loggers.remove()
        self._hooks.remove()
        self._exits.remove()
        if "warnings" in what:
            self._capture_warnings()
        if "exceptions" in what:
            self._capture_exceptions()
        # Without a stdout, as in pythonw or a daemon, print() does nothing.
        if "prints" in what and getattr(sys, "stdout", None) is not None:
            self._hooks.put(Hook(sys, "stdout", Tee(sys.stdout, self._recorder)))

    def remove(self) -> None:
        """Remove all hooks."""
        self._hooks.remove()
        self._exits.remove()
        self._loggers.remove()

    def _capture_warnings(self) -> None:
        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            def record() -> None:
                if file is None and not _is_of_logging(hook.before):
                    place = log_call.line_site(filename, lineno)
                    warning = message if isinstance(message, Warning) else category(message)
                    self._messages.captured_line(logging.WARNING, "py.warnings", text.to_text(warning), place)

            _CHAIN.run(message, record, lambda: hook.before(message, category, filename, lineno, file, line))

        hook = Hook(warnings, "showwarning", show)
        self._hooks.put(hook)

    def _capture_exceptions(self) -> None:
        def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            def record() -> None:
                self._failure = "interrupted (KeyboardInterrupt)"
                if not issubclass(kind, KeyboardInterrupt):
                    self._failure = "uncaught exception"
                    self._messages.uncaught("Uncaught exception", error, UNCAUGHT_LOGGER)

            _CHAIN.run(error, record, lambda: main.before(kind, error, trace))

        def uncaught_in_thread(args: Any) -> None:
            def record() -> None:
                if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
                    name = args.thread.name if args.thread is not None else "?"
                    self._messages.uncaught(
                        f"Uncaught exception in thread {name}", args.exc_value, UNCAUGHT_LOGGER
                    )

            _CHAIN.run(args.exc_value, record, lambda: thread.before(args))

        main = Hook(sys, "excepthook", uncaught)
        thread = Hook(threading, "excepthook", uncaught_in_thread)
        self._hooks.put(main)
        self._hooks.put(thread)
        self._exits.watch()
        self._capture_unraisable()
        self._capture_cells()

    def _capture_unraisable(self) -> None:
        """Capture exceptions that Python cannot raise, for example in `__del__`. The step continues."""

        def unraisable(args: Any) -> None:
            def record() -> None:
                if isinstance(args.exc_value, Exception):
                    self._recorder.emitter.guarded(lambda: self._record_unraisable(args))

            try:
                _CHAIN.run(args.exc_value, record, lambda: hook.before(args))
            except BaseException as interruption:  # Python discards exceptions of this hook
                interrupts.raise_later(interruption)

        hook = Hook(sys, "unraisablehook", unraisable)
        self._hooks.put(hook)

    def _record_unraisable(self, args: Any) -> None:
        error = args.exc_value
        frame = sys._getframe()
        while frame.f_back is not None and _is_of_amllog(frame):
            frame = frame.f_back
        if _is_of_amllog(frame):
            return  # at the very end of Python, where no code of the script runs any more
        frames = [frame, *(frame for frame, _ in traceback.walk_tb(error.__traceback__))]
        # The name, not the repr: the object may be destroyed in part, and its address would make each message unique.
        if args.object is not None:
            name = getattr(args.object, "__qualname__", type(args.object).__qualname__)
            message = f"{args.err_msg or 'Exception ignored in'}: {text.to_text(name)}"
        else:  # From Python 3.14 on, the message may contain the repr.
            message = _REPR.sub(r": \1", args.err_msg or "Exception ignored")
        values = {"exc_info": error}
        self._messages.log(logging.ERROR, UNCAUGHT_LOGGER, message, (), values, {}, frames[-1], shown=True)

    def _capture_cells(self) -> None:
        """Capture uncaught exceptions in a notebook. IPython calls no excepthook, but reports the end of a cell."""
        module = sys.modules.get("IPython")
        shell = module.get_ipython() if module is not None else None
        if shell is None:
            return

        def cell_ended(result: Any) -> None:
            error = result.error_before_exec or result.error_in_exec
            stopped = isinstance(error, KeyboardInterrupt)
            stopped = stopped or (isinstance(error, SystemExit) and not exits.exit_code(error.code))
            try:
                if error is not None and not stopped:
                    self._messages.uncaught("Uncaught exception in a cell", error, UNCAUGHT_LOGGER)
            except BaseException as interruption:  # IPython discards exceptions of this callback
                interrupts.raise_later(interruption)

        self._hooks.put(_Callback(shell, cell_ended))


class _Callback(Hook):
    """A callback that is registered with IPython and removed like a Hook."""

    def __init__(self, shell: Any, callback: Callable[..., None]) -> None:
        self._shell, self._callback = shell, callback
        self._registered = False

    def put(self) -> None:
        """Register the callback."""
        self._registered = True
        self._shell.events.register("post_run_cell", self._callback)

    def remove(self) -> None:
        """Unregister the callback."""
        if self._registered:
            with interrupts.suppress(ValueError):  # a signal came before it was registered
                self._shell.events.unregister("post_run_cell", self._callback)
        self._registered = False


def _is_of_amllog(frame: FrameType) -> bool:
    """Return whether a frame runs code of amllog."""
    package: str = frame.f_globals.get("__package__") or ""
    return package.partition(".")[0] == "amllog"


def _is_of_logging(show: Any) -> bool:
    """Return whether logging shows warnings (logging.captureWarnings), also after a reload of logging."""
    return getattr(show, "__module__", "") == "logging"
