"""Takes records besides amllog's own calls: stdlib logging, warnings, exceptions that nobody caught, prints.

In: Python's own hooks. Out: records at the gate. Each hook calls what was there before; each is taken back by
`remove()`, unless somebody has put another over it meanwhile.
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
from amllog.sources.capture.stdlib_logging import LoggingCapture
from amllog.sources.capture.stdout import Tee
from amllog.sources.recorder import Recorder

UNCAUGHT = "amllog.uncaught"  # the logger of exceptions that nobody caught
_CHAIN = Chain()  # also of hooks that are left from before a shutdown(), under one of the script


class Capture:
    """All hooks of a session."""

    def __init__(self, recorder: Recorder, *, on_handler: Callable[[logging.Handler], object]) -> None:
        """`on_handler` is called for every other handler that a stdlib record reaches."""
        self._recorder, self._messages = recorder, recorder.messages
        self._hooks = Hooks()
        self._loggers = LoggingCapture(recorder, on_handler)
        self.take = self._loggers.take
        self._failure = ""  # how the main thread ended, where an exception tells
        self._exits = Exits()

    @property
    def handler(self) -> logging.Handler | None:
        """The one on the root logger, if logging is captured."""
        return self._loggers.handler

    @property
    def failure(self) -> str:
        """How the main thread ended, if not well."""
        return self._failure or self._exits.result()

    def install(self, what: Sequence[str], handler: logging.Handler) -> None:
        """Take what is listed (logging, warnings, exceptions, prints) and nothing else. May be called again."""
        if "logging" in what:
            self._loggers.install(handler)
        else:
            self._loggers.remove()
        self._hooks.remove()
        self._exits.remove()
        if "warnings" in what:
            self._take_warnings()
        if "exceptions" in what:
            self._take_exceptions()
        # Without a stdout, as in pythonw or a daemon, print() does nothing.
        if "prints" in what and getattr(sys, "stdout", None) is not None:
            self._hooks.put(Hook(sys, "stdout", Tee(sys.stdout, self._recorder)))

    def remove(self) -> None:
        """Give everything back."""
        self._hooks.remove()
        self._exits.remove()
        self._loggers.remove()

    def _take_warnings(self) -> None:
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

    def _take_exceptions(self) -> None:
        def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            def record() -> None:
                self._failure = "interrupted (KeyboardInterrupt)"
                if not issubclass(kind, KeyboardInterrupt):
                    self._failure = "uncaught exception"
                    self._messages.uncaught("Uncaught exception", error, UNCAUGHT)

            _CHAIN.run(error, record, lambda: main.before(kind, error, trace))

        def uncaught_in_thread(args: Any) -> None:
            def record() -> None:
                if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
                    name = args.thread.name if args.thread is not None else "?"
                    self._messages.uncaught(f"Uncaught exception in thread {name}", args.exc_value, UNCAUGHT)

            _CHAIN.run(args.exc_value, record, lambda: thread.before(args))

        main = Hook(sys, "excepthook", uncaught)
        thread = Hook(threading, "excepthook", uncaught_in_thread)
        self._hooks.put(main)
        self._hooks.put(thread)
        self._exits.watch()
        self._take_unraisable()
        self._take_cells()

    def _take_unraisable(self) -> None:
        """Exceptions that Python can raise to nobody, in `__del__` and the like: it says so, and goes on."""

        def unraisable(args: Any) -> None:
            def record() -> None:
                if isinstance(args.exc_value, Exception):
                    self._recorder.emitter.guarded(lambda: self._record_unraisable(args))

            try:
                _CHAIN.run(args.exc_value, record, lambda: hook.before(args))
            except BaseException as interruption:  # Python discards what this hook raises
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
        # By its name, not its repr: it may be half gone, and its address would keep equal failures apart.
        what = getattr(args.object, "__qualname__", type(args.object).__qualname__)
        said = f"{args.err_msg or 'Exception ignored in'}: {text.to_text(what)}"
        self._messages.log(logging.ERROR, UNCAUGHT, said, (), {"exc_info": error}, {}, frames[-1], shown=True)

    def _take_cells(self) -> None:
        """In a notebook, no excepthook runs: IPython tells of a cell's end instead."""
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
                    self._messages.uncaught("Uncaught exception in a cell", error, UNCAUGHT)
            except BaseException as interruption:  # IPython discards what this callback raises
                interrupts.raise_later(interruption)

        self._hooks.put(_Callback(shell, cell_ended))


class _Callback(Hook):
    """A callback registered with IPython, with a Hook's way of being removed."""

    def __init__(self, shell: Any, callback: Callable[..., None]) -> None:
        self._shell, self._callback = shell, callback
        self._registered = False

    def put(self) -> None:
        """Register it."""
        self._registered = True
        self._shell.events.register("post_run_cell", self._callback)

    def remove(self) -> None:
        """Unregister it."""
        if self._registered:
            with interrupts.suppress(ValueError):  # a signal came before it was registered
                self._shell.events.unregister("post_run_cell", self._callback)
        self._registered = False


def _is_of_amllog(frame: FrameType) -> bool:
    package: str = frame.f_globals.get("__package__") or ""
    return package.partition(".")[0] == "amllog"


def _is_of_logging(show: Any) -> bool:
    """Whether warnings go to a logger already (logging.captureWarnings), also one of before a reload."""
    return getattr(show, "__module__", "") == "logging"
