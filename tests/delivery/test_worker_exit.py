"""The waits of the exit: for displaced records, other records, orphans and the round in progress."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from amllog.delivery.exporter import ExportResult
from amllog.delivery.outbox import Outbox
from amllog.delivery.worker import DeliveryWorker
from amllog.journal.writer import Journal

from ..conftest import wait_until  # isort: skip
from .conftest import LINE, AcceptingExporter  # isort: skip


class Receiver(AcceptingExporter):
    """An exporter that keeps the lines it gets."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        self.lines += lines
        return ExportResult()


class HeldWorker(DeliveryWorker):
    """A worker that works, pauses at the end of a flush(), and ends a round only when the test allows it."""

    def __init__(self, journal: Journal) -> None:
        self.at_pause, self.at_round_end = threading.Event(), threading.Event()
        self.may_work, self.may_pause, self.may_end_round = (threading.Event() for _ in range(3))
        self.ends: list[str] = []
        super().__init__(journal, "n", lambda message, level: None, threading.RLock(), is_worker=False)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_paused" and value and threading.current_thread().name == "flush":
            self.at_pause.set()
            assert self.may_pause.wait(600)
        super().__setattr__(name, value)

    def _work(self) -> None:
        assert self.may_work.wait(600)
        super()._work()

    def _round(self) -> bool:
        busy = super()._round()
        self.at_round_end.set()
        assert self.may_end_round.wait(600)
        self.ends.append("round")
        return busy

    def exit(self, seconds: float, *, with_orphans: bool) -> None:
        """Drain as at the end of the process."""
        self.drain(seconds, with_orphans=with_orphans, last=True)
        self.ends.append("exit")

    @property
    def is_paused(self) -> bool:
        """Return whether the exit has paused the worker."""
        return self._paused


def is_draining(thread: threading.Thread) -> bool:
    """Return whether the thread waits in `drain()`."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != "_wait":
        frame = frame.f_back
    return frame is not None


def leave_displaced_record(journal: Journal) -> None:
    """Append a record to a segment that another program then deletes."""
    journal.append(LINE)
    journal.segments[-1].path.unlink()


def leave_record(journal: Journal) -> None:
    """Append a record."""
    journal.append(LINE)


def leave_orphan(journal: Journal) -> None:
    """Write a segment of an ended process."""
    (journal.directory / "20260101T000000-n-999999-abcd.jsonl").write_bytes(LINE)


@pytest.mark.parametrize("leave", [leave_displaced_record, leave_record, leave_orphan])
def test_a_flush_pauses_no_wait_of_the_exit(tmp_path: Path, leave: Callable[[Journal], None]) -> None:
    """A flush() in another thread that pauses the worker during a wait of the exit does not keep records waiting."""
    journal, receiver = Journal(tmp_path, max_bytes=1024**2, node="n"), Receiver()
    worker = HeldWorker(journal)
    worker.set_exporters([receiver])
    worker.may_end_round.set()
    worker.drain(0.0, last=True)  # the end has begun, and exit handlers still run
    flush = threading.Thread(target=worker.drain, args=(600,), name="flush")
    flush.start()
    assert worker.at_pause.wait(600)
    leave(journal)
    end = threading.Thread(target=worker.exit, args=(60,), kwargs={"with_orphans": True})
    end.start()
    wait_until(lambda: is_draining(end))
    worker.may_pause.set()
    flush.join(600)
    worker.may_work.set()
    end.join(600)
    assert receiver.lines == [LINE]
    worker.release()


def test_the_exit_waits_for_the_round_in_progress(tmp_path: Path) -> None:
    """The exit ends after the round in progress, although all of its records have been delivered before."""
    journal, receiver = Journal(tmp_path, max_bytes=1024**2, node="n"), Receiver()
    worker = HeldWorker(journal)
    worker.set_exporters([receiver])
    worker.may_work.set()
    journal.append(LINE)
    end = threading.Thread(target=worker.exit, args=(600,), kwargs={"with_orphans": False})
    end.start()
    assert worker.at_round_end.wait(600)
    wait_until(lambda: not end.is_alive() or (worker.is_paused and is_draining(end)))
    worker.may_end_round.set()
    end.join(600)
    assert (receiver.lines, worker.ends[0]) == ([LINE], "round")
    worker.release()


class OneByOne(Receiver):
    """An exporter of single lines that waits before the first one until it may continue."""

    name, max_records, max_bytes = "one", 1, 1024

    def __init__(self) -> None:
        super().__init__()
        self.began, self.may_continue = threading.Event(), threading.Event()

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        self.began.set()
        self.may_continue.wait(600)
        return super().export(lines, seconds)


def test_a_flush_does_not_end_the_delivery_of_the_exit(tmp_path: Path) -> None:
    """A flush() in another thread that ends while the exit waits leaves the delivery of the exit running."""
    outbox, exporter = Outbox(lambda message, level: None), OneByOne()
    outbox.open(tmp_path, "n", 1024**2)
    outbox.set_exporters([exporter])
    outbox.drain(0.0, last=True)  # the end has begun, and exit handlers still run
    lines = [b'{"time":"2026-11-22T20:52:35.123456Z","n":"%d"}\n' % number for number in range(5)]
    outbox.append(lines[0])
    flush = threading.Thread(target=outbox.drain, args=(600,))
    flush.start()
    assert exporter.began.wait(600)
    for line in lines[1:]:
        outbox.append(line)
    end = threading.Thread(target=outbox.drain, args=(60,), kwargs={"last": True})
    end.start()
    wait_until(lambda: is_draining(end))
    exporter.may_continue.set()
    flush.join(600)
    end.join(600)
    assert exporter.lines == lines
    outbox.close(0.0)
