"""`Step`: the time and the result of the step, and whether this process records its end."""

from __future__ import annotations

import os
import time

from amllog.context.identity import Identity
from amllog.delivery.outbox import Outbox
from amllog.delivery.worker_segments import wait_for_workers
from amllog.process.workers import is_worker
from amllog.session.captures import Captures
from amllog.session.joining import Joining
from amllog.sources.recorder import Recorder


class Step:
    """The step of one session."""

    def __init__(self, recorder: Recorder, captures: Captures, joining: Joining) -> None:
        self._recorder, self._captures, self._joining = recorder, captures, joining
        self._owner = os.getpid()
        self.began, self._ticks = 0.0, 0.0
        self.failure = ""
        self.cause: Exception | None = None

    @property
    def is_here(self) -> bool:
        """Return whether this process records its end: no worker, and no fork of the process that called setup()."""
        return self._owner == os.getpid() and not is_worker() and not self._joining.is_contact

    def begin(self, began: float, ticks: float) -> None:
        """Note when the first setup() began, in seconds since 1970 and by `time.perf_counter`."""
        if not self.began:
            self.began, self._ticks = began, ticks

    def fail(self, reason: str, cause: Exception | None = None) -> None:
        """Mark the step as failed for `reason` when no hook reports it. `cause`: the exception behind it."""
        self.failure, self.cause = reason, cause

    def end(self, result: str) -> None:
        """Record the one request of the step, or the span of another process of it. Not in workers and forks.

        The prints of each process are recorded up to their end.
        """
        self._captures.record_prints(unfinished=True)
        if self.is_here:
            self._record_end(result or self._captures.failure or self.failure, failed=True)

    def end_by_sigterm(self, identity: Identity) -> None:
        """Record the end by SIGTERM. It is no failure of a process whose step ends it."""
        self._captures.record_prints(unfinished=True)
        if self.is_here:
            self._record_end("terminated (SIGTERM)", failed=not identity.is_child)

    def drain(self, outbox: Outbox, step_id: str, deadline: float, *, last: bool = False) -> None:
        """Deliver the waiting records until `deadline`. The step waits for those of its workers, which may end with it.

        `deadline`: by `time.monotonic`. `last`: the process ends after it.
        """
        if self.is_here:
            wait_for_workers(outbox, step_id, self.began, deadline)
        outbox.drain(deadline - time.monotonic(), with_orphans=True, last=last)

    def _record_end(self, result: str, *, failed: bool) -> None:
        self._recorder.end_step(self.began, time.perf_counter() - self._ticks, result, failed=failed)
