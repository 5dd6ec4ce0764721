"""Determine the exit code of the main thread, and the reason why a step ended.

`sys.exit`, `exit` and `quit` are replaced to note the code. The state of the script's first frame shows whether the
script caught the SystemExit and continued. `raise SystemExit(3)` calls none of them, and its code is lost before any
code of amllog runs.

The first frame is determined in the main thread when it calls `sys.exit`. `sys._current_frames()` would return it in
any thread, but can freeze the process while threads start (CPython issue 106883).
"""

from __future__ import annotations

import opcode
import sys
import threading
from types import FrameType

from amllog.process.hooks import Hook, Hooks

_OUTERMOST = ("<module>", "_run_module_as_main")  # a script's own frame, or runpy's above it


class Exits:
    """The exit code of calls that end the process, noted between `watch()` and `remove()`."""

    def __init__(self) -> None:
        self._code = 0
        self._first: FrameType | None = None  # the main thread's, once it has called sys.exit
        self._hooks = Hooks()

    def watch(self) -> None:
        """Replace `sys.exit`, and `exit` and `quit` of the site module."""

        def leave(status: object = None) -> None:
            self._note(status)
            leaving.before(status)

        leaving = Hook(sys, "exit", leave)
        self._hooks.put(leaving)
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
        self._first = None

    def result(self) -> str:
        """Return `exit code 3`, or "" if the code is 0 or the script caught the SystemExit and continued."""
        first = self._first
        in_main = threading.current_thread() is threading.main_thread()
        if first is not None and in_main and _first_frame() is first:
            # The script still runs. In a `finally` or `except`, the exit is in progress, otherwise it was caught.
            return _describe(self._code) if self._code and sys.exc_info()[1] is not None else ""
        if first is not None and in_main and _returned(first):
            self._code = 0
        self._first = None  # the frame references all objects of the script's module
        return _describe(self._code) if self._code else ""

    def _note(self, status: object) -> None:
        if threading.current_thread() is threading.main_thread():
            self._code = exit_code(status)
            self._first = _first_frame() if self._code else None


def exit_code(status: object) -> int:
    """Return the exit code of the process after `sys.exit(status)`."""
    return int(status) if isinstance(status, int) else int(status is not None)


def reason_in_flight() -> str:
    """Return the exception in the caller's `finally` or `except` as the reason of the end, "" if there is none."""
    error = sys.exc_info()[1]
    if isinstance(error, SystemExit):
        code = exit_code(error.code)
        return _describe(code) if code else ""
    return type_name(error) if error is not None else ""


def type_name(error: BaseException) -> str:
    """Return the name of the type as Python prints it: `ValueError`, `azureml.exceptions.UserErrorException`."""
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"


def _describe(code: int) -> str:
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
