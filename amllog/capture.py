"""What is taken besides amllog's own calls: stdlib logging, warnings, uncaught exceptions, prints.

In: Python's own hooks. Out: records at the gate. Each hook calls what was there before; each is taken back by
`remove()`, unless somebody has put another over it meanwhile.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TextIO

from amllog import calls, text
from amllog.gate import Gate
from amllog.prints import Tee

# Loggers whose chatter below WARNING is about transport, often our own: nobody asked for it in a run's records.
QUIET = ("opencensus", "urllib3", "requests", "azure.core", "azure.identity", "msrest", "msal", "azureml")

THREADS = "amllog "  # how the names of our own threads begin, whose records are never taken


class Hook:
    """One replaced attribute: put, and given back if it is still ours."""

    def __init__(self, owner: Any, name: str, replacement: Any) -> None:
        self._owner, self._name, self._ours = owner, name, replacement
        self.before = getattr(owner, name)
        setattr(owner, name, replacement)

    def remove(self) -> None:
        """Give it back."""
        if getattr(self._owner, self._name) is self._ours:
            setattr(self._owner, self._name, self.before)


class Capture:
    """All hooks of a session."""

    def __init__(
        self,
        gate: Gate,
        *,
        meet: Callable[[logging.Handler], bool] = lambda handler: False,
    ) -> None:
        """`meet`: called for every handler on a record's way; True for one that is not to send it too."""
        self._gate = gate
        self._meet = meet
        self._hooks: list[Hook] = []
        self._level_before: int | None = None
        self.failure = ""  # how the main thread ended, if not well
        self.handler: logging.Handler | None = None

    def install(self, what: Sequence[str], handler: logging.Handler) -> None:
        """Begin to take what is listed: logging, warnings, exceptions, prints."""
        if "logging" in what:
            self._take_logging(handler)
        if "warnings" in what:
            self._take_warnings()
        if "exceptions" in what:
            self._take_exceptions()
        if "prints" in what:
            self._hooks.append(Hook(sys, "stdout", Tee(sys.stdout, self._gate)))

    def remove(self) -> None:
        """Give everything back."""
        while self._hooks:
            self._hooks.pop().remove()
        if self.handler is not None:
            logging.getLogger().removeHandler(self.handler)
            self.handler = None
        if self._level_before is not None:
            logging.getLogger().setLevel(self._level_before)
            self._level_before = None

    def take(self, entry: logging.LogRecord) -> None:
        """A record that reached the root logger."""
        if entry.levelno < self._gate.threshold or (entry.threadName or "").startswith(THREADS):
            return
        if entry.levelno < logging.WARNING and entry.name.startswith(QUIET):
            return
        self._gate.take(entry, shown=self._on_a_console(entry))

    def _take_logging(self, handler: logging.Handler) -> None:
        self.handler = handler
        root = logging.getLogger()
        self._level_before = root.level
        root.setLevel(min(root.level, self._gate.threshold))
        root.addHandler(handler)
        dispatch = logging.Logger.callHandlers

        def dispatch_with_ours(logger: logging.Logger, entry: logging.LogRecord) -> None:
            """Put our handler back where somebody's logging configuration has removed it, then go on as ever."""
            own = self.handler
            if own is not None and own not in root.handlers:
                root.addHandler(own)
            for one in _handlers(logger):
                if one is not own:
                    self._meet(one)
            dispatch(logger, entry)

        configure = logging.basicConfig

        def configure_beside_ours(**options: Any) -> None:
            """basicConfig does nothing where the root logger has a handler: the script's own must still work."""
            own = self.handler
            if own is not None:
                root.removeHandler(own)
            try:
                configure(**options)
            finally:
                if own is not None:
                    root.addHandler(own)
                    root.setLevel(min(root.level, self._gate.threshold))

        self._hooks.append(Hook(logging.Logger, "callHandlers", dispatch_with_ours))
        self._hooks.append(Hook(logging, "basicConfig", configure_beside_ours))

    def _take_warnings(self) -> None:
        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            captured = hook.before is getattr(logging, "_showwarning", None)  # goes to a logger already
            if file is None and not captured:
                place = calls.place_of(filename, lineno)
                warning = message if isinstance(message, Warning) else category(message)
                self._gate.tell(logging.WARNING, "py.warnings", text.of(warning), place)
            hook.before(message, category, filename, lineno, file, line)

        hook = Hook(warnings, "showwarning", show)
        self._hooks.append(hook)

    def _take_exceptions(self) -> None:
        def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            if not issubclass(kind, KeyboardInterrupt):
                self._gate.failure("Uncaught exception", error, "amllog.uncaught")
            self.failure = "uncaught exception"
            main.before(kind, error, trace)

        def uncaught_in_thread(args: Any) -> None:
            if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
                name = args.thread.name if args.thread is not None else "?"
                self._gate.failure(f"Uncaught exception in thread {name}", args.exc_value, "amllog.uncaught")
            thread.before(args)

        def leave(status: object = None) -> None:
            if threading.current_thread() is threading.main_thread():
                code = status if isinstance(status, int) else int(status is not None)
                self.failure = f"exit code {code}" if code else ""
            leaving.before(status)

        leaving = Hook(sys, "exit", leave)
        main = Hook(sys, "excepthook", uncaught)
        thread = Hook(threading, "excepthook", uncaught_in_thread)
        self._hooks += [leaving, main, thread]
        self._take_cells()

    def _take_cells(self) -> None:
        """In a notebook, no excepthook runs: IPython tells of a cell's end instead."""
        module = sys.modules.get("IPython")
        shell = module.get_ipython() if module is not None else None
        if shell is None:
            return

        def cell_ended(result: Any) -> None:
            error = result.error_before_exec or result.error_in_exec
            if error is not None and not isinstance(error, KeyboardInterrupt):
                self._gate.failure("Uncaught exception in a cell", error, "amllog.uncaught")

        shell.events.register("post_run_cell", cell_ended)
        self._hooks.append(_Callback(shell, cell_ended))

    def _on_a_console(self, entry: logging.LogRecord) -> bool:
        """Whether another handler puts this record on stdout or stderr, which both are the driver log."""
        logger = logging.root.manager.loggerDict.get(entry.name)
        for handler in _handlers(logger if isinstance(logger, logging.Logger) else logging.getLogger()):
            if handler is self.handler or entry.levelno < handler.level or not _is_console(handler):
                continue
            if not handler.filters or handler.filter(entry):
                return True
        return False


class PlainHandler(logging.Handler):
    """The handler on the root logger where nothing is sent to Application Insights by OpenCensus."""

    def __init__(self, take: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._take = take

    def handle(self, record: logging.LogRecord) -> bool:
        """Without a lock: the intake needs none, and a forked child could inherit it locked."""
        passed = bool(self.filter(record))
        if passed:
            self._take(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the record on."""
        self._take(record)

    def close(self) -> None:
        """Nothing to close: dictConfig of other libraries calls this, and records go on."""


class _Callback(Hook):
    """A callback registered with IPython, with a Hook's way of being removed."""

    def __init__(self, shell: Any, callback: Callable[..., None]) -> None:
        self._shell, self._callback = shell, callback

    def remove(self) -> None:
        """Take it back."""
        self._shell.events.unregister("post_run_cell", self._callback)


def _handlers(logger: logging.Logger) -> list[logging.Handler]:
    """The handlers on a record's way, from its logger up."""
    found: list[logging.Handler] = []
    current: logging.Logger | None = logger
    while current is not None:
        found += current.handlers
        current = current.parent if current.propagate else None
    return found


def _is_console(handler: logging.Handler) -> bool:
    if type(handler).__name__ == "RichHandler":
        return True
    stream = getattr(handler, "stream", None) if isinstance(handler, logging.StreamHandler) else None
    if stream is None:
        return False
    return stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
