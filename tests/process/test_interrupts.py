"""Exceptions of signal handlers are recognized, raised after a change of state is complete, and never lost."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import amllog
from amllog.journal.cleanup import SegmentCleanup
from amllog.journal.directory import claim, open_read_only
from amllog.journal.writer import Journal
from amllog.process import interrupts
from amllog.record import text

pytestmark = pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="needs signals")


class Stop(Exception):
    """The exception of a script's signal handler."""


def stop(number: int, frame: FrameType | None) -> None:
    """Raise, as the handler of a signal."""
    raise Stop


class Stopper:
    """A handler with a state."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        raise Stop

    def stop(self, *_: object) -> None:
        raise Stop


@pytest.mark.parametrize(
    "handler",
    [
        stop,
        lambda number, frame, *_: stop(number, frame),
        Stopper(),
        Stopper().stop,
        functools.partial(stop),
        signal.default_int_handler,
    ],
)
def test_exceptions_of_handlers_are_recognized(handler: Callable[[int, FrameType | None], object]) -> None:
    """The exception of any kind of handler is recognized, also after the handler was replaced."""
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises((Stop, KeyboardInterrupt)) as raised:
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert interrupts.is_from_signal(raised.value)


def test_exceptions_of_a_function_with_a_frame() -> None:
    """The exception of a function is not a signal's, even if the function was called with a frame."""

    def fail(frame: FrameType) -> None:
        raise ValueError("own")

    with pytest.raises(ValueError, match="own") as raised:
        fail(sys._getframe(1))
    assert not interrupts.is_from_signal(raised.value)


class Interrupting:
    """A value during whose conversion to a string a signal arrives."""

    def __str__(self) -> str:
        signal.raise_signal(signal.SIGINT)
        return "not reached"


@pytest.mark.parametrize("handler", [stop, signal.default_int_handler])
def test_guards_do_not_catch_signals(handler: Any) -> None:
    """The exception of a handler passes the guard against errors of a value's methods."""
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises((Stop, KeyboardInterrupt)):
            text.to_text(Interrupting())
    finally:
        signal.signal(signal.SIGINT, before)


LINE = b'{"time":"2026-11-22T20:52:35.123456Z","ver":1,"name":"Microsoft.ApplicationInsights.Message"}\n'


def use_a_journal(directory: Path) -> None:
    """Write, read, acknowledge, rotate, lose a descriptor, make space and delete, as a session does."""
    journal = Journal(directory, max_bytes=4_000, node="n", outlets=("app_insights",))
    for _ in range(30):
        journal.append(LINE)
        segment = journal.segments[-1]
        segment.acknowledge("app_insights", segment.size, 1, Counter(), [], passed=1)
    os.close(segment.fd)
    journal.append(LINE)
    os.truncate(journal.segments[-1].path, 0)
    journal.append(LINE)
    os.close(journal.segments[-1].fd)
    assert journal.segments[-1].size
    SegmentCleanup(journal, threading.RLock()).remove_settled()
    journal.close()
    for path in sorted(directory.glob("*.jsonl")):
        seen = open_read_only(path)
        claimed = claim(path, "n")
        assert seen is not None
        assert claimed is not None
        seen.close()
        claimed.remove()


def with_own_exception_state(function: Callable[[], object]) -> Iterator[None]:
    """Call a function in a generator.

    Python 3.12 may leave the exception of an interrupted `except` block in `sys.exc_info()`. A generator has its own.
    """
    function()
    yield


def open_descriptors() -> set[int]:
    """Return the open descriptors of this process."""
    return {int(name) for name in os.listdir("/dev/fd")}


@pytest.mark.slow  # each line of two folders
@pytest.mark.parametrize("part", range(4))  # so that several processes of xdist share the work
def test_code_for_files_does_not_catch_a_timeout(tmp_path: Path, part: int) -> None:
    """A TimeoutError of a handler reaches the script from every line that the use of a journal reaches."""
    package = Path(amllog.__file__).parent
    files = [file for folder in ("journal", "process") for file in (package / folder).glob("*.py")]
    modules = {str(file): f"{file.parent.name}/{file.name}" for file in files}
    lines: dict[tuple[str, int], None] = {}
    interrupted: set[tuple[str, int]] = set()
    target: tuple[str, int] | None = None

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        module = modules.get(frame.f_code.co_filename)
        if module is None:
            return None
        if event == "line":
            lines[module, frame.f_lineno] = None
            if target == (module, frame.f_lineno):
                interrupted.add(target)
                signal.raise_signal(signal.SIGINT)
        return trace

    def handle(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("of the script")

    def run(name: str) -> None:
        former = sys.gettrace()
        sys.settrace(trace)
        try:
            next(with_own_exception_state(lambda: use_a_journal(tmp_path / name)))
        finally:
            sys.settrace(former)

    before = signal.signal(signal.SIGINT, handle)
    try:
        run("first")
        completed = []
        already_open = open_descriptors()
        for number, target in enumerate(list(lines)[part::4]):
            with contextlib.suppress(TimeoutError):
                run(str(number))
                completed.append(target)
            for fd in open_descriptors() - already_open:  # of the interrupted journal
                with contextlib.suppress(OSError):
                    os.close(fd)
    finally:
        signal.signal(signal.SIGINT, before)
    # The names of segments have a random part, so a run may not reach a line that the first one has reached.
    assert len(interrupted) > 150
    assert [line for line in completed if line in interrupted] == []


def test_finish_completes_the_work_first() -> None:
    """Work that a signal interrupts is complete when the exception reaches the script."""
    done: list[int] = []

    def work() -> None:
        done.append(1)
        if len(done) == 1:
            signal.raise_signal(signal.SIGINT)
        done.append(2)

    before = signal.signal(signal.SIGINT, stop)
    try:
        with pytest.raises(Stop):
            interrupts.finish(work)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == [1, 1, 2]


def test_finish_raises_other_exceptions_at_once() -> None:
    """An exception of the work is raised, and the work is not repeated."""
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        raise ValueError("own")

    with pytest.raises(ValueError, match="own"):
        interrupts.finish(work)
    assert calls == [1]


def test_raise_later_restores_the_scripts_handler() -> None:
    """An exception that Python would discard in `__del__` reaches the script, whose SIGINT handler is restored."""

    class Discarding:
        def __del__(self) -> None:
            try:
                stop(signal.SIGINT, sys._getframe())
            except Stop as error:
                interrupts.raise_later(error)
                self.after = "still in __del__"

    def script() -> None:
        value: Any = Discarding()
        del value
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            pass

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Stop):
        run_in_frames_of_a_script(script)
    assert signal.getsignal(signal.SIGINT) is before


def run_in_frames_of_a_script(function: Callable[[], None]) -> None:
    """Call the function in the main thread, where pytest runs tests."""
    assert threading.current_thread() is threading.main_thread()
    function()
