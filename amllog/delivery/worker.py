"""The background thread that feeds every consumer from the journal.

The log call has written its record to the journal, so nothing here is urgent and nothing is lost if the process dies.
The thread works in rounds. In each round, every consumer exports one batch: of the process's own segments, and when
these are done, of orphans, the segments of ended processes. A batch settles when its entry is in the checkpoint. A kill
between the export and the entry sends the batch again with the same record ids.

When an export fails, its records wait in the journal. The consumer pauses for 1 s, then twice as long after each
further failure, up to 60 s, each time varied by 20 %. If the service names a longer time (`Retry-After`), that time is
kept. A batch without a waiting record ends the pauses. A batch that takes its whole time and settles nothing is halved.

The thread starts with `setup()` if there are exporters, in a forked child with its first record. It ends before a fork
and continues in the parent afterwards: a child inherits locks held by threads that it does not have. `drain` waits
until the thread has settled the records in the journal. It makes failed consumers due at once, but gives up after
`TRIES_AT_EXIT` failures. The waiting records are on disk, and the next process delivers them.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

from amllog.delivery.account import UNREADABLE
from amllog.delivery.consumer import Consumer, backoff, write_pending_entries
from amllog.delivery.exporter import Exporter
from amllog.delivery.orphans import Orphans
from amllog.journal.cleanup import SegmentCleanup
from amllog.journal.displacement import Displacement
from amllog.journal.segment import Segment
from amllog.journal.writer import Journal
from amllog.process import interrupts
from amllog.process.fork_safe_thread import ForkSafeThread
from amllog.process.sigterm import DeferredSigterm
from amllog.process.wake_up import WakeUp

Notice = Callable[[str, int], None]
LINGER_SECONDS = 0.5  # how long a record may wait until the next round begins
ORPHANS_SECONDS = 30.0  # between passes through the orphans
MAX_EXPORT_SECONDS = 10.0  # at the end of the process, the rest of the grace
FORK_SECONDS = 0.2  # how long a fork may wait for an export in progress
TRIES_AT_EXIT = 2  # of a consumer that fails, before its records are left on disk


class DeliveryWorker:
    """Deliver one journal in the background."""

    def __init__(
        self, journal: Journal, node: str, notice: Notice, lock: threading.RLock, *, is_worker: bool
    ) -> None:
        """`lock`: held while a line is appended. `is_worker`: whether the process is a worker, which SIGTERM ends."""
        self.displacement = Displacement(journal, lock)
        self._cleanup = SegmentCleanup(journal, lock)
        self.journal, self._notice = journal, notice
        self.consumers: list[Consumer] = []
        self.thread = ForkSafeThread("amllog delivery", self._work)
        # One for each caller that waits. A signal handler may wait while its own thread is waiting.
        self._waiting: list[WakeUp] = []
        self._deferral = DeferredSigterm(wanted=is_worker)
        self.orphans = Orphans(journal, node, self._export_orphan, self._report, notice)
        self._awaited_round = -1  # the round that a fork has waited for in vain
        self._next_round = 0.0  # the time of the next round, unless woken
        self._end = math.inf  # the latest end of the process
        self._in_round = self._paused = self._ending = False
        self._rounds = 0
        self._orphans_due = 0.0  # the time of the next pass that nobody requests
        # Numbers of requests for a pass: the last one, the last when the pass began, the last that is complete.
        self._orphans_requested = self._orphans_begun = self._orphans_done = 0
        self._busy, self._faults = False, 0  # `_faults`: rounds in succession that failed

    def set_exporters(self, exporters: Sequence[Exporter]) -> None:
        """Deliver through `exporters` from now on, each from its checkpoint. Undoes the end by a last `drain`."""
        self._end, self._paused = math.inf, False
        self.journal.retain_for([exporter.name for exporter in exporters])
        self.consumers = [Consumer(exporter) for exporter in exporters]
        self.orphans.reconsider()
        self._request_orphans()

    def start(self) -> None:
        """Start the thread unless it runs."""
        # A process that ends before the first round delivers at its end, where it can wait for the response.
        self._next_round = self._next_round or time.monotonic() + LINGER_SECONDS
        self.thread.start()

    def park(self) -> None:
        """Before a fork: end the thread, unless it is in an export that takes longer than a fork may wait."""
        if not self.thread.park(0.0 if self._awaited_round == self._rounds else FORK_SECONDS):  # once a round
            self._awaited_round = self._rounds

    def resume(self) -> None:
        """In the parent, after a fork: continue."""
        if self._waiting:  # a caller waits, and the fork has consumed the wake-up
            self._next_round = time.monotonic()
        self.thread.resume()

    def forked(self) -> None:
        """In a forked child: leave the thread and the orphan that it delivers to the parent."""
        self._deferral.forked()
        self.orphans.leave()

    def drain(self, seconds: float, *, with_orphans: bool = False, last: bool = False) -> None:
        """Wait until the present content of the journal is settled, for at most `seconds`.

        `with_orphans`: also wait for the records that ended child processes left in the directory.
        `last`: the process ends after it. The thread exports nothing until the next drain: the end would interrupt it.
        """
        deadline = time.monotonic() + seconds
        if self._ending:  # SIGTERM during the exit, or a second one: the grace does not start again
            deadline = min(deadline, self._end)
        ends, outer = last or self._end < math.inf or self.thread.cannot_start, self._ending
        wait = functools.partial(self._wait, deadline, last=last)
        try:
            if last:  # before `_end`, so that a flush() that notices the end does not change it
                self._ending = True
            if ends and not outer:
                self._end, self._paused = deadline, False
            if self.displacement.displaced_segments():  # their records move to other files
                checks = self.displacement.checks
                wait(lambda: self.displacement.checks == checks and self.thread.expected)
            targets = [(segment, segment.size) for segment in self.journal.segments]
            for consumer in self.consumers:
                consumer.retry_now()
            wait(lambda: any(self._owes(consumer, targets, deadline) for consumer in self.consumers))
            if with_orphans and all(consumer.failures == 0 for consumer in self.consumers):
                request = self._request_orphans()
                wait(lambda: self._orphans_done < request and self.thread.expected)
        finally:  # also where a signal interrupts it
            if last and not outer:
                self._ending = False
            if last or (ends and not outer and not self._ending):
                # Before the wait: a round sets `_in_round` first, and then reads this.
                self._paused = True
                self._wait(deadline, lambda: self._in_round)

    def stop(self, seconds: float) -> None:
        """End the thread, waiting at most `seconds` for an export in progress."""
        self.thread.stop(max(0.0, seconds))

    def release(self) -> None:
        """Close exporters and files after an export in progress: else the same batch would be exported again."""
        calls = [self.journal.close, *(consumer.exporter.close for consumer in self.consumers)]
        self.thread.end_with([self.orphans.leave, *calls])

    def _wait(self, deadline: float, unfinished: Callable[[], bool], *, last: bool = False) -> None:
        """Wait while `unfinished()`, until `deadline` at most. `last`: for the last `drain`, which nothing pauses."""
        done = WakeUp()
        try:
            self._waiting.append(done)
            self.thread.wake()
            while time.monotonic() < deadline and unfinished():
                if last:  # a flush() in another thread may have begun just before, and ended meanwhile
                    self._end, self._paused = deadline, False
                self.start()  # also where it could not be started before
                # Otherwise it can be started later, and a flush() ends in time however long an export takes.
                if self._end == math.inf or not self.thread.work_here():
                    done.wait(min(0.1, deadline - time.monotonic()))
        finally:
            if done in self._waiting:
                self._waiting.remove(done)

    def _request_orphans(self) -> int:
        """Request a pass through the orphans at once. Return the number of the request."""
        self._orphans_requested += 1
        return self._orphans_requested

    def _owes(self, consumer: Consumer, targets: Sequence[tuple[Segment, int]], deadline: float) -> bool:
        """Return whether a drain waits for the consumer."""
        if not self.thread.expected or consumer.failures >= TRIES_AT_EXIT or consumer.due > deadline:
            return False
        return any(consumer.is_behind(segment, size) for segment, size in targets)

    def _work(self) -> None:
        """Do one step of the thread: sleep if there is nothing to do, then a round. No exception ends the thread."""
        if not self._busy:
            self.thread.sleep(self._next_round - time.monotonic())
            if self.thread.should_end():
                return
        self._busy = False
        pause = LINGER_SECONDS
        try:
            self._in_round = True
            self._busy = not self._paused and self._round()
            self._faults = 0
        except BaseException as error:  # a fault of amllog, no memory, SystemExit of a library
            self._faults += 1
            pause = backoff(self._faults)
            self._report(_reason(error))
        finally:
            self._in_round = False
            self._next_round = time.monotonic() + pause
            for done in list(self._waiting):
                done.set()
            if self.thread.should_end():
                self.orphans.leave()

    def _round(self) -> bool:
        """Export one batch per consumer. Return whether there may be more at once."""
        self._rounds += 1
        busy = True in [self._export(consumer) for consumer in self.consumers]
        write_pending_entries(self.journal.segments, self._notice)
        self.displacement.check()
        # A drain requests orphans once the process's own records are settled: new records do not delay it.
        has_request = self._orphans_done < self._orphans_requested
        if has_request or (not busy and time.monotonic() >= self._orphans_due):
            busy |= self._deliver_orphans()
        return busy

    def _export(self, consumer: Consumer) -> bool:
        """Export a batch of one consumer. Return whether there may be more. Its errors do not stop the others."""
        try:
            with self._deferring(consumer):
                return consumer.export_if_due(list(self.journal.segments), self._seconds())
        except OSError as error:  # the journal was removed or cannot be read: the next round tries again
            self._report(f"{UNREADABLE}: {error.strerror or type(error).__name__}", [consumer])
        except BaseException as error:  # as in `_work`
            consumer.fail(_reason(error))
            self._report(_reason(error), [consumer])
        return False

    def _export_orphan(self, consumer: Consumer, segment: Segment) -> bool:
        if self.thread.should_end() or time.monotonic() < consumer.due:
            return False
        with self._deferring(consumer):
            return consumer.export_next([segment], self._seconds())

    def _report(self, error: str, consumers: Sequence[Consumer] | None = None) -> None:
        for consumer in self.consumers if consumers is None else consumers:
            consumer.report(error)
        self._notice(f"{error}; its records stay queued", logging.WARNING)

    def _deferring(self, consumer: Consumer) -> contextlib.AbstractContextManager[None]:
        # A consumer that fails takes its time and settles nothing: no reason to keep a terminated worker.
        return self._deferral if consumer.failures == 0 else contextlib.nullcontext()

    def _seconds(self) -> float:
        # Not limited by a flush(): the service may have accepted a batch before its response, and would get it again.
        return min(MAX_EXPORT_SECONDS, max(0.1, self._end - time.monotonic()))

    def _deliver_orphans(self) -> bool:
        """Export one batch of an orphan for each consumer. Return whether there may be more."""
        if not self.orphans.in_progress:
            self._orphans_begun = self._orphans_requested
        if self.orphans.export_next(self.consumers) or self.thread.should_end():
            return True  # at once, or after the fork
        self._cleanup.remove_settled()
        self._orphans_done = self._orphans_begun
        self._orphans_due = time.monotonic() + ORPHANS_SECONDS
        return False


def _reason(error: BaseException) -> str:
    if threading.current_thread() is threading.main_thread():  # at its end (`ForkSafeThread.work_here`)
        interrupts.pass_on(error)
    return f"{UNREADABLE}: {type(error).__name__} in the delivery thread"
