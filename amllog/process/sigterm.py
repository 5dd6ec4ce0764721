"""Holds SIGTERM back in a worker process while a batch is on its way, so that it is not sent again by another.

In: the beginning and the end of an offer, in the courier's thread. Out: the signal's default, which ends the process
at once; during an offer, the same after it.

Not a Python handler: those run in the main thread, and only between its instructions. A main thread that is about to
wait for a lock when the signal comes waits on, and `Pool.terminate()` waits for it without end (docs/decisions/0013).
faulthandler's handler runs where the signal comes, in C, needs no lock, and may be set from any thread.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
from pathlib import Path

from amllog.process.descriptors import close_if_same, is_same, read_identity

_OWN_STATUS = Path("/proc/self/status")


class _Pipe:
    """A pipe whose ends are read and closed only while their numbers still stand for it.

    A script that daemonizes closes all descriptors, and opens files of its own under their numbers.
    """

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        self._identity = read_identity(self._reader)  # both ends have it
        for end in (self._reader, self.writer):
            os.set_blocking(end, False)

    def holds_anything(self) -> bool:
        try:
            return is_same(self._reader, self._identity) and bool(os.read(self._reader, 1))
        except BlockingIOError:  # it is empty
            return False

    def close(self) -> None:
        for end in (self._reader, self.writer):
            close_if_same(end, self._identity)


class DeferredSigterm:
    """`with deferral:` around an offer; does nothing where somebody else has a handler for SIGTERM."""

    def __init__(self, *, wanted: bool) -> None:
        """`wanted`: whether this process is a worker, whose batches others would send again."""
        self._wanted = wanted and hasattr(faulthandler, "register")
        self._pipe: _Pipe | None = None  # in which a signal leaves its mark

    def __enter__(self) -> None:
        if self._wanted and _is_default():
            self._pipe = _Pipe()
            faulthandler.register(signal.SIGTERM, file=self._pipe.writer, all_threads=False)

    def __exit__(self, *_: object) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            _restore()
            came = pipe.holds_anything()
            pipe.close()
            if came:
                os.kill(os.getpid(), signal.SIGTERM)

    def forked(self) -> None:
        """In a forked child: the offer is the parent's, and so is what the pipe holds."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            _restore()
            pipe.close()


def _restore() -> None:
    # A handler that the script has set meanwhile stands in ours' place already.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        faulthandler.unregister(signal.SIGTERM)


def _is_default() -> bool:
    """Whether SIGTERM ends the process: Python knows its own handlers, the system also those of C libraries."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return False
    try:
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", _OWN_STATUS.read_text(), re.MULTILINE)
    except OSError:  # no Linux
        return True
    return caught is None or not int(caught[1], 16) >> (signal.SIGTERM - 1) & 1
