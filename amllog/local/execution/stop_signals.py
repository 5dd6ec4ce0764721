"""Take Ctrl-C, SIGTERM and the SIGHUP of a closed terminal while a run lives."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import final

NAMES: Mapping[int, str] = {
    signal.SIGINT: "Ctrl-C",
    signal.SIGTERM: "SIGTERM",
    getattr(signal, "SIGHUP", 1): "SIGHUP",  # Windows has none
}
DEADLY_COUNT = 3  # the first stops all steps, the second kills them


@final
class StopSignals:
    """A context manager that calls `post` with the number of each signal, in the main thread only.

    A signal that the process ignores stays ignored. The handlers before are restored at the end. `post` runs inside a
    signal handler, so it may only put something into a Mailbox. The third signal ends the process as if it had no
    handler. The keepers stop the steps then.
    """

    def __init__(self, post: Callable[[int], None]) -> None:
        self._post = post
        self._pid = os.getpid()
        self._before: dict[int, object] = {}
        self._count = 0

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in NAMES:
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
        self._count += 1
        if os.getpid() == self._pid and self._count < DEADLY_COUNT:
            self._post(number)
        else:  # also a forked child, which is not the run
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
