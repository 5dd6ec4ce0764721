"""Determine the exit code of the main thread, the reason why a step ended, and the exception behind it.

`sys.exit`, `exit` and `quit` are replaced to note the code. The state of the script's first frame shows whether the
script caught the SystemExit and continued. `raise SystemExit(3)` calls none of them, and its code is lost before any
code of amllog runs.

The first frame is determined in the main thread when it calls `sys.exit`. `sys._current_frames()` would return it in
any thread, but can freeze the process while threads start (CPython issue 106883).

Command-line frameworks catch an exception, show it and exit with a code. The exception is their cause of the exit.
"""

from __future__ import annotations

import functools
import opcode
import sys
import threading
from types import FrameType, MethodType
from typing import Any

from amllog.process.exit_exceptions import ExitExceptions
from amllog.process.hooks import Hook, Hooks
from amllog.process.worker_end import NotedExit

# Reasons of the end. The others are exit codes.
UNCAUGHT, INTERRUPTED = "uncaught exception", "interrupted (KeyboardInterrupt)"
_OUTERMOST = ("<module>", "_run_module_as_main")  # a script's own frame, or runpy's above it
# Exceptions of click and typer that carry an exit code and no error.
_WITHOUT_ERROR = ("Exit", "Abort")
_MAX_CHAIN = 100


class Exits:
    """The exit code of calls that end the process, noted between `watch()` and `remove()`."""

    def __init__(self) -> None:
        self._code = 0
        self._cause: Exception | None = None
        self._message, self._line = "", ("", 0)
        self._of_click = ExitExceptions()
        self._in_worker: NotedExit | None = None
        self._first: FrameType | None = None  # the main thread's, once it has called sys.exit
        self._hooks = Hooks()

    def watch(self) -> None:
        """Replace `sys.exit`, and `exit` and `quit` of the site module."""

        def leave(*status: object) -> None:
            self._note(*status[:1])
            leaving.before(*status)

        leaving = Hook(sys, "exit", functools.update_wrapper(leave, sys.exit))  # pickle finds it by its name
        self._hooks.put(leaving)
        self._of_click.watch()
        site = sys.modules.get("_sitebuiltins")
        if site is not None:  # None with the option -S. The replaced `exit` and `quit` keep their repr.

            def quit_by(quitter: object, code: object = None) -> None:
                self._note(code)
                quitting.before(quitter, code)

            quitting = Hook(site.Quitter, "__call__", quit_by)
            self._hooks.put(quitting)

    def remove(self) -> None:
        """Restore the functions."""
        self._hooks.remove()
        self._of_click.remove()
        self._first = self._cause = self._in_worker = None

    @property
    def cause(self) -> Exception | None:
        """The exception behind the exit code that `result()` has returned."""
        return self._cause if self._code else None

    @property
    def message(self) -> tuple[str, str, int]:
        """The message of `sys.exit("no rows")` or of argparse, its file and its line. "" for another exit."""
        return (self._message if self._code else "", *self._line)

    def worker_end(self) -> tuple[str, Exception | None]:
        """Return the name of this process and the exception behind the exit of its function, if it is a worker's."""
        return self._in_worker.result() if self._in_worker is not None else ("", None)

    def result(self) -> str:
        """Return `exit code 3`, or "" if the code is 0 or the script caught the SystemExit and continued."""
        first = self._first
        in_main = threading.current_thread() is threading.main_thread()
        if first is not None and in_main and _first_frame() is first:
            # The script still runs. In a `finally` or `except`, the exit is in progress, otherwise it was caught.
            return describe(self._code) if self._code and sys.exc_info()[1] is not None else ""
        if first is not None and in_main and _returned(first):
            self._code, self._cause = 0, None
        self._first = None  # the frame references all objects of the script's module
        return describe(self._code) if self._code else ""

    def _note(self, status: object = None) -> None:
        if threading.current_thread() is threading.main_thread():
            self._code = exit_code(status)
            self._first = _first_frame() if self._code else None
            self._cause = None
            if self._code:
                caller = sys._getframe(2)
                self._message, self._line = _message_of(status, caller)
                self._cause = self._cause_of(status, caller)
                if self._cause is not None:
                    self._in_worker = NotedExit(self._code, self._cause, caller)

    def _cause_of(self, status: object, caller: FrameType) -> Exception | None:
        return (
            cause_of_exit(sys.exc_info()[1])
            or (cause_of_exit(status) if isinstance(status, BaseException) else None)
            or _caught_in(caller)
            or cause_of_exit(self._of_click.handled(self._code, caller))
        )


def exit_code(status: object) -> int:
    """Return the exit code of the process after `sys.exit(status)`."""
    return int(status) if isinstance(status, int) else int(status is not None)


def reason_in_flight() -> str:
    """Return the exception in the caller's `finally` or `except` as the reason of the end, "" if there is none."""
    error = sys.exc_info()[1]
    if isinstance(error, SystemExit):
        code = exit_code(error.code)
        return describe(code) if code else ""
    return type_name(error) if error is not None else ""


def type_name(error: BaseException) -> str:
    """Return the name of the type as Python prints it: `ValueError`, `azureml.exceptions.UserErrorException`."""
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"


def cause_of_exit(error: BaseException | None) -> Exception | None:
    """Return the exception that led to `error`, past exceptions that only end a process. None for an interruption."""
    for _ in range(_MAX_CHAIN):
        if error is None or not _is_exit(error):
            break
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return error if isinstance(error, Exception) and not _is_exit(error) else None


def last_exception() -> BaseException | None:
    """Return the exception that ended the main thread, which Python keeps for debuggers (`sys.last_value`).

    Interactive shells keep other exceptions there, which have not left the first frame.
    """
    error = getattr(sys, "last_value", None)
    return error if isinstance(error, BaseException) and has_left_first_frame(error) else None


def has_left_first_frame(error: BaseException) -> bool:
    """Return whether an exception has left the first frame of a script."""
    trace = error.__traceback__
    return trace is not None and trace.tb_frame.f_back is None and trace.tb_frame.f_code.co_name in _OUTERMOST


def _is_exit(error: BaseException) -> bool:
    kind = type(error)
    if kind.__name__ in _WITHOUT_ERROR:
        return any(name in kind.__module__ for name in ("click", "typer"))
    return issubclass(kind, SystemExit)


def _caught_in(frame: FrameType) -> Exception | None:
    """Return the exception that was caught in a frame, if one of the frame's variables still refers to it.

    click 8.5 has left its `except` when it exits, and keeps the method that shows the exception. The traceback of an
    exception that was caught in a frame begins there.
    """
    if sys.exc_info()[1] is not None:
        return None
    for value in list(frame.f_locals.values()):
        error: Any = value.__self__ if type(value) is MethodType else value
        if issubclass(type(error), BaseException):
            trace = error.__traceback__
            if trace is not None and trace.tb_frame is frame:
                return cause_of_exit(error)
    return None


def _message_of(status: object, caller: FrameType) -> tuple[str, tuple[str, int]]:
    """Return the message of an exit, and the line of the script. argparse prints it in `ArgumentParser.exit`."""
    frame = caller
    if caller.f_globals.get("__name__") == "argparse" and caller.f_code.co_name == "exit":
        status = caller.f_locals.get("message")
        while frame.f_globals is caller.f_globals and frame.f_back is not None:
            frame = frame.f_back
    return status.strip() if isinstance(status, str) else "", (frame.f_code.co_filename, frame.f_lineno)


def describe(code: int) -> str:
    """Return the result of a step for an exit code: `exit code 3`."""
    return f"exit code {code}"


def _first_frame() -> FrameType | None:
    """Return the first frame of the thread, or None if it is not a script's (a greenlet, an embedded Python)."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame if frame is not None and frame.f_code.co_name in _OUTERMOST else None


def _returned(frame: FrameType) -> bool:
    """Return whether a frame has returned. An exception leaves it at the instruction that raised."""
    return opcode.opname[frame.f_code.co_code[frame.f_lasti]] in ("RETURN_VALUE", "RETURN_CONST")
