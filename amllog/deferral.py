"""Holds SIGTERM back in a worker process while a batch is on its way, so that it is not sent again by another.

In: the beginning and the end of an offer, in the courier's thread. Out: the signal's default, which ends the process
at once; during an offer, the same after it.

Not a Python handler: those run in the main thread, and only between its instructions. A main thread that is about to
wait for a lock when the signal comes waits on, and `Pool.terminate()` waits for it without end (docs/decisions/0013).
faulthandler's handler runs where the signal comes, in C, needs no lock, and may be set from any thread.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import signal
from pathlib import Path

_OWN_STATUS = Path("/proc/self/status")


class Deferral:
    """`with deferral:` around an offer; does nothing where somebody else has a handler for SIGTERM."""

    def __init__(self, *, wanted: bool) -> None:
        """`wanted`: whether this process is a worker, whose batches others would send again."""
        self._wanted = wanted and hasattr(faulthandler, "register")
        self._ends: tuple[int, int] | None = None  # of the pipe that a signal leaves its mark in

    def __enter__(self) -> None:
        if self._wanted and _is_default():
            self._ends = os.pipe()
            for end in self._ends:
                os.set_blocking(end, False)
            faulthandler.register(signal.SIGTERM, file=self._ends[1], all_threads=False)

    def __exit__(self, *_: object) -> None:
        ends, self._ends = self._ends, None
        if ends is not None:
            _restore()
            came = _holds_anything(ends[0])
            _close(ends)
            if came:
                os.kill(os.getpid(), signal.SIGTERM)

    def forked(self) -> None:
        """In a forked child: the offer is the parent's, and so is what the pipe holds."""
        ends, self._ends = self._ends, None
        if ends is not None:
            _restore()
            _close(ends)


def _restore() -> None:
    # A handler that the script has set meanwhile stands in ours' place already.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        faulthandler.unregister(signal.SIGTERM)


def _holds_anything(end: int) -> bool:
    try:
        return bool(os.read(end, 1))
    except OSError:  # empty; or a script that daemonizes has closed what it found
        return False


def _close(ends: tuple[int, int]) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def _is_default() -> bool:
    """Whether SIGTERM ends the process: Python knows its own handlers, the system also those of C libraries."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return False
    try:
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", _OWN_STATUS.read_text(), re.MULTILINE)
    except OSError:  # no Linux
        return True
    return caught is None or not int(caught[1], 16) >> (signal.SIGTERM - 1) & 1
