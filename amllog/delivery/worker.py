"""The worker: delivers what the journal has to the outlets, in one background thread.

In: the journal's segments, and those of processes that have ended. Out: batches for each outlet, by its route.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence

from amllog.delivery.account import UNREADABLE
from amllog.delivery.exporter import Consumer, Exporter, backoff, write_pending_entries
from amllog.delivery.orphans import Orphans
from amllog.journal.cleanup import SegmentCleanup
from amllog.journal.displacement import Displacement
from amllog.journal.segment import Segment
from amllog.journal.writer import Journal
from amllog.process import interrupts
from amllog.process.fork_safe_thread import ForkSafeThread
from amllog.process.sigterm import DeferredSigterm

Notice = Callable[[str, int], None]
LINGER_SECONDS = 0.5  # how long a record may lie in the journal before the worker looks
LEFTOVERS_SECONDS = 30.0  # how often the worker looks for files of processes that have ended
OFFER_SECONDS = 10.0  # the limit of an offer; at the end of the process, what is left of the grace
FORK_SECONDS = 0.2  # how long a fork may wait for an offer in progress
TRIES_AT_EXIT = 2  # of an outlet that fails, before the rest is left to wait on disk


class DeliveryWorker:
    """Delivers in the background. Starts with setup() if there are outlets, in a forked child with its first record."""

    def __init__(
        self, journal: Journal, node: str, notice: Notice, lock: threading.RLock, *, worker: bool
    ) -> None:
        """`lock`: held by who appends. `worker`: whether SIGTERM ends this process without asking (deferral)."""
        self._notice = notice
        self.displacement = Displacement(journal, lock)
        self._processed = SegmentCleanup(journal, lock)
        self.journal = journal
        self.consumers: list[Consumer] = []
        self.thread = ForkSafeThread("amllog courier", self._work)
        # A queue for each caller that waits. A signal handler may wait while its own thread is waiting.
        self._waiting: list[queue.SimpleQueue[None]] = []
        self._deferral = DeferredSigterm(wanted=worker)
        self._orphans = Orphans(
            journal, node, self._offer_orphan,
            lambda text: self._report(text, self.consumers), lambda text: notice(text, logging.WARNING),
        )  # fmt: skip
        self._rounds = 0
        self._waited_in = -1  # the round that a fork has waited for in vain
        self._look = 0.0  # when to look at the journal again, unless woken
        self._end = math.inf  # when the process ends at the latest
        self._in_round = self._paused = self._ending = False
        self._leftovers_due = 0.0
        # Requests to look for them at once: the last one, the last when the pass began, the last that is complete.
        self._leftovers_asked = self._leftovers_begun = self._leftovers_done = 0
        self._busy = False
        self._faults = 0  # rounds in succession that failed

    def set_exporters(self, outlets: Sequence[Exporter]) -> None:
        """Deliver to `outlets` from now on, each from its acknowledgements. The process goes on, also after SIGTERM."""
        self._end, self._paused = math.inf, False
        self.journal.outlets = tuple(outlet.name for outlet in outlets)
        self.consumers = [Consumer(outlet) for outlet in outlets]
        self._orphans.reconsider()
        self._ask_for_leftovers()

    @property
    def leftovers_delivered(self) -> int:
        """Records of processes that have ended which this one has delivered."""
        return self._orphans.delivered

    def start(self) -> None:
        """Start the thread if it does not run."""
        # A process that lives shorter than this sends at its end, where it can wait for the answer.
        self._look = self._look or time.monotonic() + LINGER_SECONDS
        self.thread.start()

    def park(self) -> None:
        """Before a fork: end the thread, unless it is in an offer that takes longer than a fork may wait.

        A child inherits all locks as they are, also those of threads that it does not have.
        """
        patience = 0.0 if self._waited_in == self._rounds else FORK_SECONDS  # of each round once
        if not self.thread.park(patience):
            self._waited_in = self._rounds

    def resume(self) -> None:
        """In the parent, after a fork: continue."""
        if self._waiting:  # somebody waits, and the fork has taken the wake-up
            self._look = time.monotonic()
        self.thread.resume()

    def forked(self) -> None:
        """In a forked child: the thread is the parent's, and so is the file that it delivers."""
        self._deferral.forked()
        self._orphans.leave()

    def drain(self, seconds: float, *, with_orphans: bool = False, last: bool = False) -> None:
        """Wait until what is in the journal now is settled, at most `seconds`; gives up on an outlet that fails.

        `with_orphans`: also what child processes that have ended left in the directory.
        `last`: the process ends after it. The thread makes no offer until the next drain: the end would interrupt it.
        """
        deadline = time.monotonic() + seconds
        if self._ending:  # SIGTERM during the exit, or once more: the grace does not begin anew
            deadline = min(deadline, self._end)
        ends, outer = last or self._end < math.inf or self.thread.cannot_start, self._ending
        if ends and not outer:  # else a flush() in another thread would end the grace of all
            self._end, self._paused = deadline, False
        if self.displacement.displaced_segments():  # what waits in them goes to other files
            looks = self.displacement.checks
            self._wait(deadline, lambda: self.displacement.checks == looks and self.thread.expected)
        targets = [(segment, segment.size) for segment in self.journal.segments]
        for consumer in self.consumers:
            consumer.failures, consumer.due = 0, 0.0
        try:
            self._ending |= last
            self._wait(
                deadline, lambda: any(self._owes(consumer, targets, deadline) for consumer in self.consumers)
            )
            if with_orphans and all(consumer.failures == 0 for consumer in self.consumers):
                asked = self._ask_for_leftovers()
                self._wait(deadline, lambda: self._leftovers_done < asked and self.thread.expected)
        finally:  # also where a signal interrupts it
            self._ending &= outer or not last
            if last or (ends and not outer):
                # Before the wait: a round sets `_in_round` first, and then reads this.
                self._paused = True
                self._wait(deadline, lambda: self._in_round)

    def stop(self, seconds: float) -> None:
        """End the thread, waiting at most `seconds` for the offer it is in."""
        self.thread.stop(max(0.0, seconds))

    def release(self) -> None:
        """Close the outlets and the files, once an offer in progress is completed: else it would be made again."""
        calls = [self.journal.close, *(consumer.exporter.close for consumer in self.consumers)]
        self.thread.end_with([self._orphans.leave, *calls])

    def _wait(self, deadline: float, unfinished: Callable[[], bool]) -> None:
        """Wait while `unfinished()`, until `deadline` at most."""
        done: queue.SimpleQueue[None] = queue.SimpleQueue()
        try:
            self._waiting.append(done)
            self.thread.wake()
            while time.monotonic() < deadline and unfinished():
                self.start()  # also where it could not be started before
                # Elsewhere it can be started later, and a flush() ends in time whatever an offer takes.
                if self._end == math.inf or not self.thread.work_here():
                    with interrupts.suppress(queue.Empty):
                        done.get(timeout=min(0.1, max(0.0, deadline - time.monotonic())))
        finally:
            if done in self._waiting:
                self._waiting.remove(done)

    def _ask_for_leftovers(self) -> int:
        """Have the thread look for files of ended processes at once; return the number of this request."""
        self._leftovers_asked += 1
        self._leftovers_due = 0.0
        return self._leftovers_asked

    def _owes(self, consumer: Consumer, targets: Sequence[tuple[Segment, int]], deadline: float) -> bool:
        if not self.thread.expected or consumer.failures >= TRIES_AT_EXIT or consumer.due > deadline:
            return False
        return any(consumer.behind(segment, size) for segment, size in targets)

    def _work(self) -> None:
        """One step of the thread: wait if there is nothing to do, then a round. No exception of it ends the thread."""
        if not self._busy:
            self.thread.sleep(self._look - time.monotonic())
            if self.thread.should_end():
                return
        self._busy = False
        pause = LINGER_SECONDS
        try:
            self._in_round = True
            self._busy = not self._paused and self._round()
            self._faults = 0
        except BaseException as error:  # a fault of ours, no memory, SystemExit of a library
            self._faults += 1
            pause = backoff(self._faults)
            self._report(_reason(error), self.consumers)
        finally:
            self._in_round = False
            self._look = time.monotonic() + pause
            for done in list(self._waiting):
                done.put(None)
            if self.thread.should_end():
                self._orphans.leave()

    def _advance(self, consumer: Consumer) -> bool:
        """Offer a batch to one outlet; True if there may be more to do at once. Its errors do not stop the others."""
        try:
            with self._offering(consumer):
                return consumer.advance(list(self.journal.segments), self._seconds())
        except OSError as error:  # the journal was removed or cannot be read: it is looked at again
            self._report(f"{UNREADABLE}: {error.strerror or type(error).__name__}", [consumer])
        except BaseException as error:  # as in _work
            consumer.failures += 1
            consumer.due = time.monotonic() + backoff(consumer.failures)
            self._report(_reason(error), [consumer])
        return False

    def _report(self, trouble: str, consumers: Sequence[Consumer]) -> None:
        for consumer in consumers:
            consumer.trouble = trouble
        self._notice(f"{trouble}; what is in it waits", logging.WARNING)

    def _round(self) -> bool:
        """One batch per outlet; True if there may be more to do at once."""
        self._rounds += 1
        busy = True in [self._advance(consumer) for consumer in self.consumers]
        write_pending_entries(self.journal.segments, self._notice)
        self.displacement.check()
        # A drain asks for leftovers once its own records are settled: new records do not hold it up.
        is_due = time.monotonic() >= self._leftovers_due
        if is_due and (not busy or self._leftovers_done < self._leftovers_asked):
            busy |= self._deliver_leftovers()
        return busy

    def _offering(self, consumer: Consumer) -> contextlib.AbstractContextManager[None]:
        # An outlet that fails takes its time and settles nothing: no reason to keep a terminated worker.
        return self._deferral if consumer.failures == 0 else contextlib.nullcontext()

    def _seconds(self) -> float:
        # Not limited by a flush(): the service may have taken what is not answered yet, and would get it again.
        return min(OFFER_SECONDS, max(0.1, self._end - time.monotonic()))

    def _deliver_leftovers(self) -> bool:
        """Offer each outlet one batch from the files of ended processes. Return whether there may be more."""
        if not self._orphans.in_progress:
            self._leftovers_begun = self._leftovers_asked
        if self._orphans.step(self.consumers) or self.thread.should_end():
            return True  # at once, or after the fork
        self._processed.delete()
        self._leftovers_done = self._leftovers_begun
        # Else once more: it may have begun before they were there.
        if self._leftovers_done == self._leftovers_asked:
            self._leftovers_due = time.monotonic() + LEFTOVERS_SECONDS
        return False

    def _offer_orphan(self, consumer: Consumer, segment: Segment) -> bool:
        if self.thread.should_end() or time.monotonic() < consumer.due:
            return False
        with self._offering(consumer):
            return consumer.step([segment], self._seconds())


def _reason(error: BaseException) -> str:
    if threading.current_thread() is threading.main_thread():  # at its end; see WorkerThread.work_here
        interrupts.pass_on(error)
    return f"{UNREADABLE}: {type(error).__name__} in the delivery thread"
