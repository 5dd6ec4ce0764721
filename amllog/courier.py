"""The courier: the one background thread, which carries what the journal has to the outlets.

In: the journal's segments, and those of processes that are gone. Out: offers to each outlet by its route.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from amllog.delivery import Outlet, Route
from amllog.journal import Journal
from amllog.segment import Segment, leftovers

LINGER_SECONDS = 0.5  # how long a record may lie in the journal before the courier looks
LEFTOVERS_SECONDS = 30.0  # how often the courier looks for files of processes that are gone
OFFER_SECONDS = 10.0  # an offer's bound in ordinary life; at exit it is what is left of the grace
TRIES_AT_EXIT = 2  # of an outlet that fails, before the rest is left to wait on disk


class Courier:
    """The one background thread. Starts with setup() if there are outlets, in a forked child with its first record."""

    def __init__(self, journal: Journal, node: str) -> None:
        self.journal = journal
        self.routes: list[Route] = []
        self.leftovers_delivered = 0
        self._node = node
        self._thread: threading.Thread | None = None
        # Not an Event: a signal handler may wake the courier while its own thread is in the middle of doing so.
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._idle = threading.Condition()
        self._stopping = False
        self._deadline: float | None = None  # of a drain that somebody waits for
        self._leftovers_due = 0.0

    @property
    def started(self) -> bool:
        """Whether the thread was started (in this process)."""
        return self._thread is not None

    def serve(self, outlets: Sequence[Outlet]) -> None:
        """Deliver to `outlets` from now on; each begins where its acknowledgements say."""
        self.journal.outlets = tuple(outlet.name for outlet in outlets)
        self.routes = [Route(outlet) for outlet in outlets]
        self._leftovers_due = 0.0

    def start(self) -> None:
        """Start the thread if it does not run; harmless while the interpreter shuts down."""
        if self._thread is None and not self._stopping:
            thread = threading.Thread(target=self._run, name="amllog courier", daemon=True)
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:  # too late in the process's life for a thread: the journal keeps it
                self._stopping = True

    def drain(self, seconds: float, *, with_leftovers: bool = False) -> None:
        """Wait until what is in the journal now is settled, at most `seconds`; gives up on an outlet that fails.

        `with_leftovers`: also what child processes that are gone left in the directory.
        """
        targets = [(segment, segment.size) for segment in self.journal.segments]
        deadline = time.monotonic() + seconds
        for route in self.routes:
            route.failures, route.due = 0, 0.0
        self.start()
        self._deadline = deadline
        self._wait(deadline, lambda: any(self._owes(route, targets, deadline) for route in self.routes))
        if with_leftovers and all(route.failures == 0 for route in self.routes):
            self._leftovers_due = 0.0
            self._wait(deadline, lambda: self._leftovers_due == 0.0 and self._alive())
        self._deadline = None

    def stop(self, seconds: float) -> None:
        """End the thread, waiting at most `seconds` for the offer it is in."""
        self._stopping = True
        self._wakes.put(None)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, seconds))
        for route in self.routes:
            route.outlet.close()

    def _wait(self, deadline: float, unfinished: Callable[[], bool]) -> None:
        self._wakes.put(None)
        with self._idle:
            while time.monotonic() < deadline and unfinished():
                self._idle.wait(min(0.1, max(0.0, deadline - time.monotonic())))

    def _alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _owes(self, route: Route, targets: Sequence[tuple[Segment, int]], deadline: float) -> bool:
        if not self._alive() or route.failures >= TRIES_AT_EXIT or route.due > deadline:
            return False
        return any(route.behind(segment, size) for segment, size in targets)

    def _run(self) -> None:
        # A process that lives shorter than this sends at its end, where it can wait for the answer.
        self._sleep()
        while not self._stopping:
            try:
                busy = self._round()
            except OSError:  # the directory went away or cannot be read: it is looked at again
                busy = False
            if not busy:
                self._sleep()

    def _sleep(self) -> None:
        with contextlib.suppress(Empty):
            self._wakes.get(timeout=LINGER_SECONDS)

    def _round(self) -> bool:
        """One batch per outlet; True if there may be more to do at once."""
        busy = False
        for route in self.routes:
            busy |= route.advance(list(self.journal.segments), self._seconds())
        if not busy and time.monotonic() >= self._leftovers_due:
            self._deliver_leftovers()
            self.journal.tidy()
            self._leftovers_due = time.monotonic() + LEFTOVERS_SECONDS
        with self._idle:
            self._idle.notify_all()
        return busy

    def _seconds(self) -> float:
        deadline = self._deadline
        return (
            OFFER_SECONDS if deadline is None else min(OFFER_SECONDS, max(0.1, deadline - time.monotonic()))
        )

    def _deliver_leftovers(self) -> None:
        """Send what processes that are gone left in the directory, as long as the outlets take it."""
        for segment in leftovers(self.journal.directory, self._node, self.journal.outlets):
            before = self._delivered(segment)
            for route in self.routes:
                while (
                    not self._stopping
                    and time.monotonic() >= route.due
                    and route.step([segment], self._seconds())
                ):
                    pass
            self.leftovers_delivered += self._delivered(segment) - before
            segment.close()
            if self._stopping or all(route.due > time.monotonic() for route in self.routes):
                return

    def _delivered(self, segment: Segment) -> int:
        return sum(segment.progress(route.outlet.name).delivered for route in self.routes)


class Attempt:
    """Work in a thread of its own, which a caller waits for as long as it wants to: nothing can stop a library that
    waits without bound, but nobody has to wait with it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._outcome: list[tuple[bool, Any]] = []
        self._thread = threading.Thread(target=self._run, name="amllog setup", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the work has ended."""
        return bool(self._outcome)

    def result(self, seconds: float) -> Any:
        """What the work returned; raises what it raised, or TimeoutError if it goes on after `seconds`."""
        self._thread.join(seconds)
        if not self._outcome:
            raise TimeoutError(f"no answer within {seconds:g} s")
        fine, result = self._outcome[0]
        if fine:
            return result
        raise result

    def _run(self) -> None:
        try:
            self._outcome.append((True, self._work()))
        except Exception as error:  # handed to whoever asks for the result
            self._outcome.append((False, error))
