"""The delivery of orphans in the background."""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from amllog.delivery.exporter import ExportResult
from amllog.delivery.outbox import Outbox
from amllog.delivery.worker import DeliveryWorker
from amllog.journal.segment import Segment
from amllog.journal.writer import Journal

from ..conftest import wait_until  # isort: skip
from .conftest import LINE, ORPHAN, AcceptingExporter, FaultyExporter  # isort: skip


class Blocking(AcceptingExporter):
    """An exporter that accepts a batch once it may."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        self.batches.append(list(lines))
        self.asked.set()
        self.may_answer.wait(600)
        return ExportResult()


def test_own_lines_between_the_batches_of_an_orphan(tmp_path: Path) -> None:
    """A long orphan does not delay lines of this process, and is delivered to its end."""
    lines = [LINE.replace(b"123456", b"%06d" % number) for number in range(500)]
    (tmp_path / ORPHAN).write_bytes(b"".join(lines))
    outbox, exporter = Outbox(lambda message, level: None), Blocking()
    outbox.open(tmp_path, "gone", 1024**2)
    outbox.set_exporters([exporter])
    outbox.drain(0.0)  # wakes the worker
    assert exporter.asked.wait(600)
    outbox.append(LINE)
    exporter.may_answer.set()
    outbox.drain(600)
    assert [LINE] in exporter.batches[:4]
    outbox.drain(600, with_orphans=True)
    assert [line for batch in exporter.batches for line in batch if line != LINE] == lines
    assert outbox.status().leftovers_delivered == 500
    outbox.close(200)


class FaultyForOrphans(FaultyExporter):
    """An exporter whose code raises at first for orphans."""

    def concerns(self, segment: Segment) -> bool:
        return "-999999-" not in segment.path.name or super().concerns(segment)


@pytest.mark.parametrize(
    ("fault", "delivered"), [(OSError(errno.EMFILE, "no descriptor"), 1), (RecursionError(), 0)]
)
def test_an_orphan_that_fails(tmp_path: Path, fault: BaseException, delivered: int) -> None:
    """An orphan is delivered later if the system lacked resources. Otherwise it is left to another process."""
    (tmp_path / ORPHAN).write_bytes(LINE)
    notices: list[str] = []
    outbox = Outbox(lambda message, level: notices.append(message))
    outbox.open(tmp_path, "gone", 1024**2)
    outbox.set_exporters([FaultyForOrphans(fault)])
    for _ in range(3):
        outbox.drain(600, with_orphans=True)
    assert outbox.status().leftovers_delivered == delivered
    assert [type(fault).__name__ in notice for notice in notices] == [True]
    outbox.close(200)


class LateRequest(DeliveryWorker):
    """A worker that gets a request for a pass while it schedules the next one, and makes no pass without a request."""

    def __init__(self, journal: Journal, orphan: Path) -> None:
        self.orphan = orphan
        super().__init__(journal, "gone", lambda message, level: None, threading.RLock(), is_worker=False)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_orphans_due" and value and not self.orphan.exists():
            self.orphan.write_bytes(LINE)
            self._request_orphans()  # as another thread does in drain()
            value = math.inf
        super().__setattr__(name, value)


def test_a_request_at_the_end_of_a_pass(tmp_path: Path) -> None:
    """A request that comes while the time of the next pass is set causes another pass at once."""
    journal, exporter = Journal(tmp_path, max_bytes=1024**2, node="gone"), Blocking()
    exporter.may_answer.set()
    worker = LateRequest(journal, tmp_path / ORPHAN)
    worker.set_exporters([exporter])
    worker.start()
    wait_until(lambda: exporter.batches == [[LINE]])
    worker.release()
