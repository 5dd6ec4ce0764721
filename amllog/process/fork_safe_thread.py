"""A daemon thread that is started when it is needed, ends before a fork, and continues after it.

Signal handlers may interrupt the main thread at any instruction here. So nothing waits by `Thread.join`, `Event` or
`Condition`: interrupted, a `join` takes a running thread for an ended one, and the others may keep their lock.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable

from amllog.process import interrupts
from amllog.process.released_locks import releasing

RETRY_SECONDS = 0.5  # until the next attempt, after a thread could not be started
STEP_SECONDS = 0.01  # between steps of the work in a thread of the script
SYSTEM_THREAD_SECONDS = 0.2  # at most, until the system has ended a thread that has no work any more


class Life:
    """One thread, from its start to its end."""

    def __init__(self) -> None:
        self.begun = self.over = False
        self.thread: threading.Thread | None = None
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()

    def end(self) -> None:
        """Report the end to everybody who waits for it."""
        self.over = True
        self._ended.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most `seconds`; return whether it has come."""
        deadline = time.monotonic() + seconds
        while not self.over and (left := deadline - time.monotonic()) > 0:
            with interrupts.suppress(queue.Empty):
                self._ended.get(timeout=min(0.1, left))
                self._ended.put(None)  # for others who wait
        return self.over


class ForkSafeThread:
    """Runs `work` in a thread. `work` returns soon after `should_end()` is true."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._name, self._work = name, work
        self._last_calls: list[Callable[[], object]] = []  # when the thread has ended for good
        self._guard = threading.RLock()  # re-entrant: a signal handler may log
        self._life: Life | None = None
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._forking: set[int] = set()  # threads that are about to fork
        self._stopped = False
        self._retry_at = 0.0
        self._failed = False  # the last attempt to start the thread

    @property
    def running(self) -> bool:
        """Whether the thread runs or is being started."""
        life = self._life
        return life is not None and not life.over

    @property
    def due(self) -> bool:
        """Whether `start()` would try to start the thread."""
        return (
            self._life is None and not (self._stopped or self._forking) and time.monotonic() >= self._retry_at
        )

    @property
    def expected(self) -> bool:
        """Whether the thread runs, or can be expected to: after a fork, or at the next attempt to start it."""
        return not self._stopped

    @property
    def cannot_start(self) -> bool:
        """Whether no thread can be started any more: the main thread has ended, and the last attempt has failed."""
        return self._failed and not (self.running or threading.main_thread().is_alive())

    def is_current(self) -> bool:
        """Return whether the caller runs in the thread."""
        life = self._life
        return life is not None and life.thread is threading.current_thread()

    @releasing("_guard")
    def start(self) -> None:
        """Start the thread unless it runs. A system that has no thread left is asked again later."""
        with self._guard:
            if not self.due:
                return
            life = Life()
            try:
                life.thread = threading.Thread(target=self._live, args=(life,), name=self._name, daemon=True)
                self._life = life
                interrupts.call_blocked(life.thread.start)  # until it blocks signals itself
                self._failed = False
            except BaseException as error:
                if not life.begun and self._life is life:
                    self._life = None  # a thread that begins later ends at once
                interrupts.pass_on(error)  # also where Thread.start() raised another one in its place
                if not isinstance(error, (RuntimeError, OSError, MemoryError)):
                    raise
                self._failed, self._retry_at = True, time.monotonic() + RETRY_SECONDS

    def work_here(self) -> bool:
        """Do one step of the work in the calling thread if no thread runs or can be started. Return whether it did.

        CPython 3.12 starts no thread once the main thread has come to its end, also while others still run.
        Signals wait until the step is over.
        """
        done: list[bool] = []
        if self._life is None and not self.due:
            interrupts.call_blocked(lambda: done.append(self._step_here()))
        if True in done:
            time.sleep(STEP_SECONDS)
        return True in done

    @releasing("_guard")
    def _step_here(self) -> bool:
        life = Life()
        with self._guard:
            if self._life is not None or self.should_end():
                return False
            life.thread, life.begun, self._life = threading.current_thread(), True, life
        try:
            self.wake()  # the step begins with a wait
            self._work()
        finally:
            with self._guard:
                if self._life is life:
                    self._life = None
            life.end()
        return True

    def wake(self) -> None:
        """End the thread's `sleep()`, or its next one."""
        self._wakes.put(None)

    def sleep(self, seconds: float) -> None:
        """In the thread: wait until somebody wakes it, at most `seconds`."""
        with interrupts.suppress(queue.Empty):
            self._wakes.get(timeout=max(0.0, seconds))

    def should_end(self) -> bool:
        """Whether the thread is to end: for good, or for the time of a fork."""
        return self._stopped or bool(self._forking)

    def park(self, seconds: float) -> bool:
        """Before a fork: end the thread, waiting at most `seconds`; return whether there is none now."""
        self._forking.add(threading.get_ident())
        life = self._life
        if life is None or life.thread is threading.current_thread():
            return True
        self.wake()
        if not life.wait(seconds):
            return False
        _await_system_thread(life.thread, seconds)
        return True

    def resume(self) -> None:
        """After a fork, in the parent: start the thread again, unless another thread is about to fork."""
        self._forking.discard(threading.get_ident())
        self.start()

    def stop(self, seconds: float) -> None:
        """End the thread for good, waiting at most `seconds`."""
        self._stopped = True
        self.wake()
        life = self._life
        if life is not None and life.thread is not threading.current_thread() and life.wait(seconds):
            _await_system_thread(life.thread, min(seconds, SYSTEM_THREAD_SECONDS))  # the script may fork next

    def end_with(self, calls: Iterable[Callable[[], object]]) -> None:
        """End the thread for good without waiting, and call these as soon as it has ended."""
        self._last_calls += calls
        self.stop(0.0)
        if not self.running:
            self._call_last()

    def _call_last(self) -> None:
        while self._last_calls:
            with interrupts.suppress(IndexError):  # the thread and its owner may both come here
                self._last_calls.pop()()

    def _live(self, life: Life) -> None:
        interrupts.leave_to_others()
        with self._guard:
            life.begun = self._life is life
        try:
            while life.begun and not self._leave(life):
                self._work()
        finally:
            life.end()
            self._call_last()

    def _leave(self, life: Life) -> bool:
        """Return whether the thread ends now; from here on another one may be started."""
        with self._guard:
            if self.should_end() and self._life is life:
                self._life = None
            return self._life is not life


def _await_system_thread(thread: threading.Thread | None, seconds: float) -> None:
    """Wait for the system's thread as well: Python counts those before a fork, and warns if there are several."""
    if thread is None:
        return
    deadline = time.monotonic() + seconds
    while os.path.exists(f"/proc/self/task/{thread.native_id}") and time.monotonic() < deadline:
        time.sleep(0.0001)
