"""Take Ctrl-C and SIGTERM while a run lives."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import final

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@final
class StopSignals:
    """A context manager that calls `post` with the number of each signal, in the main thread only.

    A signal that the process ignores stays ignored. The handlers before are restored at the end. `post` runs inside a
    signal handler, so it may only put something into a SimpleQueue.
    """

    def __init__(self, post: Callable[[int], None]) -> None:
        self._post = post
        self._pid = os.getpid()
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in NUMBERS:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN:
                    self._before[number] = before
                    signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            # None: a handler of C code, which Python cannot restore.
            signal.signal(number, before if before is not None else signal.SIG_DFL)  # type: ignore[arg-type]  # as read

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() == self._pid:
            self._post(number)
        else:  # a forked child is not the run
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
