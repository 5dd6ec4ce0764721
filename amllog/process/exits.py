"""How the main thread ends where no exception tells: `sys.exit(3)`, `exit(3)`, and whether the script went on then.

In: calls of `sys.exit`, `exit` and `quit`; the state of the script's first frame. Out: one short text, "" for a good
end. `raise SystemExit(3)` calls nothing, and its code is gone before anything of ours runs: it cannot be told.

The first frame is found from the main thread itself, when it calls `sys.exit`. `sys._current_frames()` would find it
from any thread, but it can freeze the process while threads start (CPython's issue 106883).
"""

from __future__ import annotations

import opcode
import sys
import threading
from types import FrameType

from amllog.process.hooks import Hook, Hooks

_OUTERMOST = ("<module>", "_run_module_as_main")  # a script's own frame, or runpy's above it


class Exits:
    """Watches calls that end the process, until `remove()`."""

    def __init__(self) -> None:
        self._code = 0
        self._first: FrameType | None = None  # the main thread's, once it has called sys.exit
        self._hooks = Hooks()

    def watch(self) -> None:
        """Begin: `sys.exit`, and what the site module puts beside it."""

        def leave(status: object = None) -> None:
            self._note(status)
            leaving.before(status)

        leaving = Hook(sys, "exit", leave)
        self._hooks.put(leaving)
        site = sys.modules.get("_sitebuiltins")
        if site is not None:  # without -S: `exit` and `quit`, which look as they did

            def quit_by(quitter: object, code: object = None) -> None:
                self._note(code)
                quitting.before(quitter, code)

            quitting = Hook(site.Quitter, "__call__", quit_by)
            self._hooks.put(quitting)

    def remove(self) -> None:
        """Give everything back."""
        self._hooks.remove()
        self._first = None

    def result(self) -> str:
        """`exit code 3`, or "" where the code is 0 or the script went on: it caught the SystemExit."""
        first = self._first
        in_main = threading.current_thread() is threading.main_thread()
        if first is not None and in_main and _first_frame() is first:
            # The script still runs: in a `finally` or `except` its exit is on its way, elsewhere it was caught.
            return _told(self._code) if self._code and sys.exc_info()[1] is not None else ""
        if first is not None and in_main and _returned(first):
            self._code = 0
        self._first = None  # it holds what the script's own module holds
        return _told(self._code) if self._code else ""

    def _note(self, status: object) -> None:
        if threading.current_thread() is threading.main_thread():
            self._code = exit_code(status)
            self._first = _first_frame() if self._code else None


def exit_code(status: object) -> int:
    """The exit code that Python makes of `sys.exit(status)`."""
    return int(status) if isinstance(status, int) else int(status is not None)


def in_flight() -> str:
    """What is on its way through the caller's `finally` or `except`, as the reason why a step ended; "" for nothing."""
    error = sys.exc_info()[1]
    if isinstance(error, SystemExit):
        code = exit_code(error.code)
        return _told(code) if code else ""
    return type_name(error) if error is not None else ""


def type_name(error: BaseException) -> str:
    """The type as Python prints it: `ValueError`, `azureml.exceptions.UserErrorException`."""
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"


def _told(code: int) -> str:
    return f"exit code {code}"


def _first_frame() -> FrameType | None:
    """The frame that the calling thread began with; None where it is no script's (a greenlet, an embedded Python)."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame if frame is not None and frame.f_code.co_name in _OUTERMOST else None


def _returned(frame: FrameType) -> bool:
    """Whether a frame that is over came to its end: an exception leaves it at the instruction that it came from."""
    return opcode.opname[frame.f_code.co_code[frame.f_lasti]] in ("RETURN_VALUE", "RETURN_CONST")
