"""Note the exception that is handled when a script makes an exception of click that ends the process.

click 8.5 has left its `except` when it calls `sys.exit`, and nothing refers to the exception of the script any more.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import FrameType
from typing import Any

from amllog.process.hooks import Hook, Hooks
from amllog.process.import_hooks import AfterImport

MODULE = "click.exceptions"


class ExitExceptions:
    """The last `click.exceptions.Exit` of this process, between `watch()` and `remove()`."""

    def __init__(self) -> None:
        self._hooks, self._imports = Hooks(), Hooks()
        self._code: object = 0
        self._handled: BaseException | None = None

    def watch(self) -> None:
        """Note the exits from now on, also if click is imported later."""
        self._imports.put(AfterImport(MODULE, self._hook))
        if MODULE in sys.modules:
            self._hook()

    def remove(self) -> None:
        """Restore click's class."""
        self._imports.remove()
        self._hooks.remove()
        self._handled = None

    def handled(self, code: int, caller: FrameType) -> BaseException | None:
        """Return the exception that was handled when the exit was made with which click now ends the process.

        `caller`: the frame that calls `sys.exit`.
        """
        name = caller.f_globals.get("__name__")
        return self._handled if name == "click.core" and self._code == code else None

    def _hook(self) -> None:
        kind = getattr(importlib.import_module(MODULE), "Exit", None)  # click 7 and newer
        if not isinstance(kind, type) or "__init__" not in vars(kind):
            return
        original: Any = vars(kind)["__init__"]

        @functools.wraps(original)
        def init(exit_: Any, *args: Any, **options: Any) -> None:
            original(exit_, *args, **options)
            self._note(getattr(exit_, "exit_code", 0))

        self._hooks.remove()
        self._hooks.put(Hook(kind, "__init__", init))

    def _note(self, code: object) -> None:
        self._code, self._handled = code, sys.exc_info()[1] if code else None
