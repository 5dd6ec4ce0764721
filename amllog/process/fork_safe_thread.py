"""A daemon thread that starts when it is needed, ends before a fork, and continues after it.

Signal handlers may interrupt the main thread at any instruction here. Therefore the code does not use `Thread.join`,
`Event` or `Condition`. An interrupted `join` takes a running thread for an ended one, and the others may keep their
lock.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable

from amllog.process import interrupts, own_work
from amllog.process.released_locks import releasing
from amllog.process.wake_up import WakeUp

RETRY_SECONDS = 0.5  # until the next attempt, after a thread could not be started
STEP_SECONDS = 0.01  # between steps of the work in a thread of the script
SYSTEM_THREAD_SECONDS = 0.2  # at most, until the system has ended a thread whose work is done


class Life:
    """One thread, from its start to its end."""

    def __init__(self) -> None:
        self.begun = self.over = False
        self.thread: threading.Thread | None = None
        self._ended = WakeUp()

    def begin(self, *, is_current: bool) -> None:
        """Note whether the thread may work. It may not if another one was started in its place."""
        self.begun = is_current

    def end(self) -> None:
        """Wake the callers of `wait()`."""
        self.over = True
        self._ended.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end up to `seconds`. Return whether the thread has ended."""
        deadline = time.monotonic() + seconds
        while not self.over and (remaining := deadline - time.monotonic()) > 0:
            if self._ended.wait(min(0.1, remaining)):
                self._ended.set()  # for the other callers
        return self.over


class ForkSafeThread:
    """A thread that calls `work` again and again. `work` must return soon after `should_end()` is true."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._name, self._work = name, work
        self._last_calls: list[Callable[[], object]] = []  # after the permanent end of the thread
        self._guard = threading.RLock()  # re-entrant: a signal handler may log
        self._life: Life | None = None
        self._wakes = WakeUp()
        self._forking: set[int] = set()  # threads that are about to fork
        self._stopped = False
        self._retry_at = 0.0
        self._failed = False  # the last attempt to start the thread

    @property
    def running(self) -> bool:
        """Return whether the thread runs or is being started."""
        life = self._life
        return life is not None and not life.over

    @property
    def due(self) -> bool:
        """Return whether `start()` would try to start the thread."""
        return (
            self._life is None and not (self._stopped or self._forking) and time.monotonic() >= self._retry_at
        )

    @property
    def expected(self) -> bool:
        """Return whether the thread runs or will run later: after a fork, or at the next attempt to start it."""
        return not self._stopped

    @property
    def cannot_start(self) -> bool:
        """Return whether a start is impossible: the main thread has ended, and the last attempt has failed."""
        return self._failed and not (self.running or threading.main_thread().is_alive())

    def is_current(self) -> bool:
        """Return whether the caller runs in the thread."""
        life = self._life
        return life is not None and life.thread is threading.current_thread()

    @releasing("_guard")
    def start(self) -> None:
        """Start the thread unless it runs. If the system has no thread left, a later call tries again."""
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
                interrupts.pass_on(error)  # also if Thread.start() raised another one in its place
                if not isinstance(error, (RuntimeError, OSError, MemoryError)):
                    raise
                self._failed, self._retry_at = True, time.monotonic() + RETRY_SECONDS

    def work_here(self) -> bool:
        """Do one step of the work in the calling thread if no thread runs or can be started. Return whether it did.

        CPython 3.12.0 to 3.12.2 start no thread after the main thread has ended, also while other threads still run.
        Signals are blocked during the step.
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
            with own_work.sending():
                self._work()
        finally:
            with self._guard:
                if self._life is life:
                    self._life = None
            life.end()
        return True

    def wake(self) -> None:
        """End the current or the next `sleep()` of the thread."""
        self._wakes.set()

    def sleep(self, seconds: float) -> None:
        """Wait in the thread for a call of `wake()`, at most `seconds`."""
        self._wakes.wait(seconds)

    def should_end(self) -> bool:
        """Return whether the thread must end, permanently or for the time of a fork."""
        return self._stopped or bool(self._forking)

    def park(self, seconds: float) -> bool:
        """End the thread before a fork, waiting at most `seconds`. Return whether it has ended."""
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
        """Start the thread again in the parent after a fork, unless another thread is about to fork."""
        self._forking.discard(threading.get_ident())
        self.start()

    def stop(self, seconds: float) -> None:
        """End the thread permanently, waiting at most `seconds`."""
        self._stopped = True
        self.wake()
        life = self._life
        if life is not None and life.thread is not threading.current_thread() and life.wait(seconds):
            _await_system_thread(life.thread, min(seconds, SYSTEM_THREAD_SECONDS))  # the script may fork next

    def end_with(self, calls: Iterable[Callable[[], object]]) -> None:
        """End the thread permanently without waiting, and call `calls` as soon as it has ended."""
        self._last_calls += calls
        self.stop(0.0)
        if not self.running:
            self._call_last()

    def _call_last(self) -> None:
        while self._last_calls:
            with interrupts.suppress(IndexError):  # the thread and its owner may both be here
                self._last_calls.pop()()

    def _live(self, life: Life) -> None:
        interrupts.block_signals()
        with self._guard:
            life.begin(is_current=self._life is life)
        try:
            while life.begun and not self._leave(life):
                with own_work.sending():
                    self._work()
        finally:
            life.end()
            self._call_last()

    def _leave(self, life: Life) -> bool:
        """Return whether the thread ends now. From here on, another one may be started."""
        with self._guard:
            if self.should_end() and self._life is life:
                self._life = None
            return self._life is not life


def _await_system_thread(thread: threading.Thread | None, seconds: float) -> None:
    """Wait for the end of the system's thread. Python counts these before a fork, and warns if there are several."""
    if thread is None:
        return
    deadline = time.monotonic() + seconds
    while os.path.exists(f"/proc/self/task/{thread.native_id}") and time.monotonic() < deadline:
        time.sleep(0.0001)
