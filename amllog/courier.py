"""The courier: the one background thread, which carries what the journal has to the outlets.

In: the journal's segments, and those of processes that are gone. Out: offers to each outlet by its route.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from amllog.account import UNREADABLE
from amllog.deferral import Deferral
from amllog.delivery import Outlet, Route
from amllog.directory import leftovers
from amllog.journal import Journal
from amllog.segment import Segment

LINGER_SECONDS = 0.5  # how long a record may lie in the journal before the courier looks
LEFTOVERS_SECONDS = 30.0  # how often the courier looks for files of processes that are gone
OFFER_SECONDS = 10.0  # an offer's bound in ordinary life; at exit it is what is left of the grace
FORK_SECONDS = 0.2  # how long a fork may wait for an offer that is under way
TRIES_AT_EXIT = 2  # of an outlet that fails, before the rest is left to wait on disk


class Courier:
    """The one background thread. Starts with setup() if there are outlets, in a forked child with its first record.

    Around a fork it is away: a child begins with all locks as they were, also those of threads that it does not have.
    """

    def __init__(
        self, journal: Journal, node: str, notice: Callable[[str, int], None], *, worker: bool
    ) -> None:
        """`worker`: whether SIGTERM ends this process without asking (deferral)."""
        self._notice = notice
        self.journal = journal
        self.routes: list[Route] = []
        self.leftovers_delivered = 0
        self._node = node
        self._thread: threading.Thread | None = None
        # Not an Event: a signal handler may wake the courier while its own thread is in the middle of doing so.
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._idle = threading.Condition()
        self._guard = threading.RLock()  # of whether the thread runs; re-entrant for signal handlers
        self._deferral = Deferral(wanted=worker)
        self._claimed: Segment | None = None  # of a process that is gone
        self._stopping = False
        self._parked = False
        self._rounds = 0
        self._waited_in = -1  # the round that a fork has waited for in vain
        self._look = 0.0  # when to look at the journal again, unless woken
        self._deadlines: list[float] = []  # of drains that somebody waits for
        self._leftovers_due = 0.0
        self._leftovers_asked = 0  # how often they were asked for at once
        self._settled: set[str] = set()  # files of processes that are gone in which nothing waits

    @property
    def started(self) -> bool:
        """Whether the thread was started (in this process)."""
        return self._thread is not None

    def serve(self, outlets: Sequence[Outlet]) -> None:
        """Deliver to `outlets` from now on; each begins where its acknowledgements say."""
        self.journal.outlets = tuple(outlet.name for outlet in outlets)
        self.routes = [Route(outlet) for outlet in outlets]
        self._settled = set()
        self._ask_for_leftovers()

    def start(self) -> None:
        """Start the thread if it does not run; harmless while the interpreter shuts down."""
        with self._guard:
            if self._thread is not None or self._stopping or self._parked:
                return
            # A process that lives shorter than this sends at its end, where it can wait for the answer.
            self._look = self._look or time.monotonic() + LINGER_SECONDS
            thread = threading.Thread(target=self._run, name="amllog courier", daemon=True)
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:  # too late in the process's life for a thread: the journal keeps it
                self._stopping = True

    def park(self) -> None:
        """Before a fork: end the thread, unless it is in an offer that takes longer than a fork may wait."""
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        self._parked = True
        self._wakes.put(None)
        patience = 0.0 if self._waited_in == self._rounds else FORK_SECONDS  # of each round once
        thread.join(patience)
        if thread.is_alive():
            self._waited_in = self._rounds
        else:
            _await_system_thread(thread)

    def resume(self) -> None:
        """In the parent, after a fork: go on where it was."""
        with self._guard:
            parked, self._parked = self._parked, False
            if parked:
                if self._deadlines:  # somebody waits, and the fork has taken the wake-up
                    self._look = time.monotonic()
                self.start()

    def forked(self) -> None:
        """In a forked child: the thread is the parent's, and so is the file that it delivers."""
        self._deferral.forked()
        if self._claimed is not None:
            self._claimed.close()

    def drain(self, seconds: float, *, with_leftovers: bool = False) -> None:
        """Wait until what is in the journal now is settled, at most `seconds`; gives up on an outlet that fails.

        `with_leftovers`: also what child processes that are gone left in the directory.
        """
        targets = [(segment, segment.size) for segment in self.journal.segments]
        deadline = time.monotonic() + seconds
        for route in self.routes:
            route.failures, route.due = 0, 0.0
        self.start()
        self._deadlines.append(deadline)
        try:
            self._wait(deadline, lambda: any(self._owes(route, targets, deadline) for route in self.routes))
            if with_leftovers and all(route.failures == 0 for route in self.routes):
                self._ask_for_leftovers()
                self._wait(deadline, lambda: self._leftovers_due == 0.0 and self._alive())
        finally:  # also where somebody interrupts a flush()
            self._deadlines.remove(deadline)

    def stop(self, seconds: float) -> None:
        """End the thread, waiting at most `seconds` for the offer it is in."""
        self._stopping = True
        self._wakes.put(None)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, seconds))
        for route in self.routes:
            route.outlet.close()

    def _wait(self, deadline: float, unfinished: Callable[[], bool]) -> None:
        self._wakes.put(None)
        with self._idle:
            while time.monotonic() < deadline and unfinished():
                self._idle.wait(min(0.1, max(0.0, deadline - time.monotonic())))

    def _alive(self) -> bool:
        """Whether the thread runs, or will: after a fork, or as soon as the one who starts it has done so."""
        thread = self._thread
        begun = thread is not None and thread.ident is not None
        return thread.is_alive() if thread is not None and begun else not self._stopping

    def _ask_for_leftovers(self) -> None:
        with self._guard:
            self._leftovers_asked += 1
            self._leftovers_due = 0.0

    def _owes(self, route: Route, targets: Sequence[tuple[Segment, int]], deadline: float) -> bool:
        if not self._alive() or route.failures >= TRIES_AT_EXIT or route.due > deadline:
            return False
        return any(route.behind(segment, size) for segment, size in targets)

    def _run(self) -> None:
        busy = False
        while not self._ended():
            if not busy:
                self._sleep()
                if self._ended():
                    return
            try:
                busy = self._round()
            except OSError as error:  # the journal went away or cannot be read: it is looked at again
                busy = False
                self._tell(f"{UNREADABLE}: {error.strerror or type(error).__name__}")
            self._look = time.monotonic() + LINGER_SECONDS

    def _tell(self, trouble: str) -> None:
        for route in self.routes:
            route.trouble = trouble
        self._notice(f"{trouble}; what is in it waits", logging.WARNING)

    def _ended(self) -> bool:
        """Whether the thread is to end now; if a fork is why, there is none from here on."""
        with self._guard:
            if self._parked:
                self._thread = None
            return self._parked or self._stopping

    def _sleep(self) -> None:
        with contextlib.suppress(Empty):
            self._wakes.get(timeout=max(0.0, self._look - time.monotonic()))

    def _round(self) -> bool:
        """One batch per outlet; True if there may be more to do at once."""
        self._rounds += 1
        busy = False
        for route in self.routes:
            with self._offering(route):
                busy |= route.advance(list(self.journal.segments), self._seconds())
        if not busy and time.monotonic() >= self._leftovers_due:
            asked = self._leftovers_asked
            self._deliver_leftovers()
            if self._parked:
                return True  # after the fork
            self.journal.tidy()
            with self._guard:
                if asked == self._leftovers_asked:  # else once more: it may have begun before they were there
                    self._leftovers_due = time.monotonic() + LEFTOVERS_SECONDS
        with self._idle:
            self._idle.notify_all()
        return busy

    def _offering(self, route: Route) -> contextlib.AbstractContextManager[None]:
        # What fails takes its time and settles nothing: no reason to keep a terminated worker.
        return self._deferral if route.failures == 0 else contextlib.nullcontext()

    def _seconds(self) -> float:
        latest = max([*self._deadlines], default=math.inf)
        return min(OFFER_SECONDS, max(0.1, latest - time.monotonic()))

    def _deliver_leftovers(self) -> None:
        """Send what processes that are gone left in the directory, as long as the outlets take it."""
        found = leftovers(
            self.journal.directory, self._node, self.journal.outlets, self._settled,
            lambda text: self._notice(text, logging.WARNING),
        )  # fmt: skip
        for segment in found:
            self._claimed = segment
            before = self._delivered(segment)
            for route in self.routes:
                while self._step(route, segment):
                    pass
            self.leftovers_delivered += self._delivered(segment) - before
            self._claimed = None
            segment.close()
            if segment.unnoted:  # sent, but nobody will know: at least not by us again and again
                self._settled.add(segment.path.name)
            if self._away() or all(route.due > time.monotonic() for route in self.routes):
                return

    def _step(self, route: Route, segment: Segment) -> bool:
        if self._away() or time.monotonic() < route.due:
            return False
        with self._offering(route):
            return route.step([segment], self._seconds())

    def _away(self) -> bool:
        return self._stopping or self._parked

    def _delivered(self, segment: Segment) -> int:
        return sum(segment.progress(route.outlet.name).delivered for route in self.routes)


def _await_system_thread(thread: threading.Thread) -> None:
    """Until Python 3.12, a joined thread may still be about to end: Python's own count before a fork sees it."""
    deadline = time.monotonic() + FORK_SECONDS
    while os.path.exists(f"/proc/self/task/{thread.native_id}") and time.monotonic() < deadline:
        time.sleep(0.0001)
