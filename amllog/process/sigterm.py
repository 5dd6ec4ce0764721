"""Defer SIGTERM in a worker process while a batch is in flight.

SIGTERM ends a worker at once. Another process would then send the batch again. The delivery thread defers the signal
from the beginning of an export to its end.

A Python handler is not suitable, because it runs in the main thread, between two instructions. A main thread that
enters the wait for a lock when the signal arrives continues to wait, and `Pool.terminate()` waits for it without end
(docs/decisions/0013). The handler of faulthandler runs in C in the thread that receives the signal. It needs no lock
and can be set from any thread.
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
    """A pipe whose ends are read and closed only while their descriptors still refer to it.

    A script that daemonizes closes all descriptors, and opens other files under their numbers.
    """

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        self._identity = read_identity(self._reader)  # the same for both ends
        for end in (self._reader, self.writer):
            os.set_blocking(end, False)

    def holds_anything(self) -> bool:
        try:
            return is_same(self._reader, self._identity) and bool(os.read(self._reader, 1))
        except BlockingIOError:  # the pipe is empty
            return False

    def close(self) -> None:
        for end in (self._reader, self.writer):
            close_if_same(end, self._identity)


class DeferredSigterm:
    """A context manager for an export. It does nothing if there is another handler for SIGTERM."""

    def __init__(self, *, wanted: bool) -> None:
        """Defer the signal if `wanted` is true: in a worker, whose batches other processes would send again."""
        self._wanted = wanted and hasattr(faulthandler, "register")
        self._pipe: _Pipe | None = None  # the handler writes to it

    def __enter__(self) -> None:
        if self._wanted and is_default():
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
        """Restore the default in a forked child. The export and a deferred signal belong to the parent."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            _restore()
            pipe.close()


def _restore() -> None:
    # A handler that the script has set in the meantime has replaced this one already.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        faulthandler.unregister(signal.SIGTERM)


def is_default() -> bool:
    """Return whether SIGTERM ends the process. Python lists its handlers, the system also those of C libraries."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return False
    try:
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", _OWN_STATUS.read_text(), re.MULTILINE)
    except OSError:  # not Linux
        return True
    return caught is None or not int(caught[1], 16) >> (signal.SIGTERM - 1) & 1
