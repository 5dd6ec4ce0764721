"""The batches of a consumer, their verdicts, and the pauses after failures."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from amllog.delivery import account
from amllog.delivery.consumer import MAX_BACKOFF_SECONDS, Consumer
from amllog.delivery.exporter import DELIVERED, ExportResult, refused, waiting
from amllog.journal.directory import claim
from amllog.journal.refused_counts import OVERWRITTEN, TRUNCATED
from amllog.journal.writer import Journal

from .conftest import LINE, AcceptingExporter  # isort: skip


class Scripted(AcceptingExporter):
    """An exporter that records the batches and returns one result, or raises one exception."""

    name, max_records, max_bytes = "scripted", 10, 10_000

    def __init__(self, result: ExportResult | Exception) -> None:
        self.result = result
        self.batches: list[list[bytes]] = []

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        self.batches.append(list(lines))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal with 25 lines."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n")
    for number in range(25):
        journal.append(b'{"time":"%d"}\n' % number)
    return journal


class Slow(Scripted):
    """An exporter that needs the whole time for more than `limit` lines."""

    def __init__(self, limit: int) -> None:
        super().__init__(ExportResult())
        self.limit = limit

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        self.batches.append(list(lines))
        if len(lines) <= self.limit:
            return ExportResult()
        time.sleep(seconds)
        return ExportResult(waiting("timeout"))


@pytest.mark.parametrize("limit", [1, 3])
def test_batches_get_smaller_when_exports_take_too_long(journal: Journal, limit: int) -> None:
    """A service that needs longer for a batch than an export may take gets smaller batches, and all lines arrive."""
    exporter = Slow(limit)
    consumer = Consumer(exporter)
    for _ in range(200):
        consumer.export_next(journal.segments, 0.05)
    assert [len(batch) for batch in exporter.batches][:3] == [10, 5, 2]
    accepted = [line for batch in exporter.batches if len(batch) <= limit for line in batch]
    assert accepted == [b'{"time":"%d"}\n' % number for number in range(25)]


def test_batches_within_the_limits(journal: Journal) -> None:
    """Lines are exported in order, in batches within the exporter's limits, each once."""
    exporter = Scripted(ExportResult())
    consumer = Consumer(exporter)
    while consumer.export_next(journal.segments, 1):
        pass
    assert [len(batch) for batch in exporter.batches] == [10, 10, 5]
    assert (
        b"".join(line for batch in exporter.batches for line in batch)
        == journal.segments[0].path.read_bytes()
    )
    exporter = Scripted(ExportResult())
    exporter.max_bytes = 40
    consumer = Consumer(exporter)
    exporter.name = "another"
    while consumer.export_next(journal.segments, 1):
        pass
    assert max(sum(map(len, batch)) for batch in exporter.batches) <= 40
    assert sum(map(len, exporter.batches)) == 25


def test_backoff(journal: Journal) -> None:
    """Failures make the pauses longer, up to a minute, and a time named by the service is kept."""
    exporter = Scripted(ExportResult(waiting("no")))
    consumer, pauses = Consumer(exporter), []
    for _ in range(12):
        consumer.due = 0.0
        assert not consumer.export_next(journal.segments, 1)
        pauses.append(consumer.due - time.monotonic())
    assert 0.5 < pauses[0] < 1.5 and pauses[3] > 5 and max(pauses) <= MAX_BACKOFF_SECONDS * 1.2
    assert not consumer.export_if_due(journal.segments, 1)  # the pause is not over
    assert len(exporter.batches) == 12
    assert consumer.last_error == "no"
    for _ in range(2_000):  # an outage of more than a day
        consumer.fail("no")
    consumer.due = 0.0
    consumer.export_next(journal.segments, 1)
    assert 40 < consumer.due - time.monotonic() <= MAX_BACKOFF_SECONDS * 1.2
    exporter.result = ExportResult(waiting("slow"), pause_seconds=500)
    consumer.due = 0.0
    consumer.export_next(journal.segments, 1)
    assert consumer.due - time.monotonic() > 490
    exporter.result = ExportResult()
    consumer.retry_now()
    assert consumer.export_next(journal.segments, 1)
    assert (consumer.failures, consumer.due, consumer.last_error) == (0, 0.0, "")


def test_an_exporter_that_raises(journal: Journal) -> None:
    """When an exporter raises, the lines wait, and the last error names the exception."""
    exporter = Scripted(RuntimeError("broken"))
    consumer = Consumer(exporter)
    consumer.export_next(journal.segments, 1)
    assert consumer.last_error == "scripted: RuntimeError: broken"
    assert consumer.is_behind(journal.segments[0], journal.segments[0].size)


@pytest.mark.parametrize("count", [25, 10])
def test_delivery_by_another_process_while_the_descriptor_is_closed(tmp_path: Path, count: int) -> None:
    """Lines that another process has delivered while the lock was free are not sent again, and count once."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n")
    for _ in range(25):
        journal.append(LINE)
    (segment,) = journal.segments
    os.close(segment.fd)  # by the script: the lock is released
    other = claim(segment.path, "n")
    assert other is not None
    other.acknowledge("scripted", count * len(LINE), count, Counter(), [])
    other.close()
    exporter = Scripted(ExportResult())
    consumer = Consumer(exporter)
    while consumer.export_next(journal.segments, 1):
        pass
    assert sum(map(len, exporter.batches)) == 25 - count
    result = account.tally([segment], {"scripted": exporter.wants}, Counter(), "")
    assert str(result.outlets["scripted"]) == "25 delivered, 0 waiting, 0 refused"
    assert result.accepted == 25


def test_waiting_lines_do_not_block_later_ones(journal: Journal) -> None:
    """A line that waits is exported again together with the lines after it."""
    exporter = Scripted(ExportResult(exceptions={3: waiting("no")}))
    consumer = Consumer(exporter)
    consumer.export_next(journal.segments, 1)
    consumer.due, exporter.result = 0.0, ExportResult()
    consumer.export_next(journal.segments, 1)
    first, second = exporter.batches
    assert second[0] == first[3] and len(second) == 10
    assert journal.segments[0].position("scripted").retry == []


def test_retries_within_the_limits(journal: Journal) -> None:
    """Lines to retry are exported in batches, in order, and each once."""
    (segment,) = journal.segments
    lines = segment.lines(0)
    offsets = [sum(map(len, lines[:number])) for number in range(25)]
    for limits in ((10, 10_000), (100, 40)):
        exporter = Scripted(ExportResult())
        exporter.name, exporter.max_records, exporter.max_bytes = f"of {limits}", *limits
        segment.acknowledge(exporter.name, segment.size, 0, Counter(), offsets)
        consumer = Consumer(exporter)
        while consumer.export_next(journal.segments, 1):
            pass
        assert [one for batch in exporter.batches for one in batch] == lines
        assert max(map(len, exporter.batches)) <= limits[0]
        assert max(sum(map(len, batch)) for batch in exporter.batches) <= limits[1]
        assert segment.is_settled([exporter.name]) and segment.position(exporter.name).delivered == 25


def test_lines_that_still_wait_after_a_retry(journal: Journal) -> None:
    """Of the lines to retry, those that wait again and those that do not fit into the batch still wait."""
    (segment,) = journal.segments
    lines = segment.lines(0)
    offsets = [sum(map(len, lines[:number])) for number in range(25)]
    segment.acknowledge("scripted", segment.size, 0, Counter(), offsets)
    consumer = Consumer(Scripted(ExportResult(exceptions={0: waiting("no"), 3: refused("bad")})))
    consumer.export_next(journal.segments, 1)
    assert segment.position("scripted").retry == [offsets[0], *offsets[10:]]
    assert segment.position("scripted").delivered == 8


def test_one_batch_of_several_segments(tmp_path: Path) -> None:
    """The lines of many small segments go into one batch, and each segment gets the verdicts of its lines."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n")
    for number in range(12):
        journal.append(b'{"time":"%02d"}\n' % number)
        if number % 3 == 2:
            journal.rotate()
    exporter = Scripted(ExportResult(exceptions={4: waiting("no"), 7: refused("bad")}))
    consumer = Consumer(exporter)
    assert not consumer.export_next(journal.segments, 1)
    assert [len(batch) for batch in exporter.batches] == [10]
    positions = [segment.position("scripted") for segment in journal.segments]
    assert [one.delivered for one in positions] == [3, 2, 2, 1, 0]
    assert [(len(one.retry), dict(one.refused)) for one in positions] == [
        (0, {}), (1, {}), (0, {"bad": 1}), (0, {}), (0, {}),
    ]  # fmt: skip
    exporter.result = ExportResult()
    assert consumer.export_next(journal.segments, 1)
    assert exporter.batches[1] == [exporter.batches[0][4], b'{"time":"10"}\n', b'{"time":"11"}\n']
    assert all(segment.is_settled(["scripted"]) for segment in journal.segments)
    assert not consumer.export_next(journal.segments, 1) and len(exporter.batches) == 2


def test_retries_of_several_segments(tmp_path: Path) -> None:
    """Lines to retry in many segments are all exported again, one batch at a time."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n")
    for number in range(40):
        journal.append(b'{"time":"%02d"}\n' % number)
        if number % 8 == 7:
            journal.rotate()
    exporter = Scripted(ExportResult(DELIVERED, {index: waiting("no") for index in range(0, 10, 2)}))
    consumer = Consumer(exporter)
    for _ in range(30):
        consumer.export_next(journal.segments, 1)
    exporter.result = ExportResult()
    while not all(segment.is_settled(["scripted"]) for segment in journal.segments):
        assert consumer.export_next(journal.segments, 1)
    assert max(map(len, exporter.batches)) <= 10
    assert sum(segment.position("scripted").delivered for segment in journal.segments) == 40


@pytest.mark.parametrize(("kept", "reason"), [(25, OVERWRITTEN), (3, TRUNCATED)])
def test_lines_to_retry_that_are_gone(journal: Journal, kept: int, reason: str) -> None:
    """A waiting line that was overwritten or cut off is refused with the reason, and the sum holds."""
    exporter = Scripted(ExportResult(DELIVERED, {index: waiting("no") for index in (0, 4, 9)}))
    consumer, (segment,) = Consumer(exporter), journal.segments
    size = segment.size
    consumer.export_next([segment], 1)
    with open(segment.path, "r+b") as file:
        file.seek(4 * 13)
        file.write(b"#" * 13)
        file.seek(9 * 13)
        file.write(b"#" * 13)
        file.truncate(size if kept == 25 else kept * 13)
    exporter.result = ExportResult()
    for _ in range(2):
        result = account.tally([segment], {"scripted": exporter.wants}, Counter(), "")
        assert result.accepted == 25 == result.outlets["scripted"].accepted
        consumer.due = 0.0
        while consumer.export_next([segment], 1):
            pass
    counts = result.outlets["scripted"]
    gone = 25 - 7 - 1 - max(0, kept - 10)
    assert (counts.delivered, counts.waiting, counts.refused) == (25 - gone, 0, {reason: gone})
    assert not consumer.is_behind(segment, 10_000)


def test_a_torn_line_is_not_awaited(journal: Journal) -> None:
    """A consumer is not behind once every whole line is settled."""
    exporter = Scripted(ExportResult())
    consumer, (segment,) = Consumer(exporter), journal.segments
    os.truncate(segment.path, segment.size - 4)
    assert consumer.is_behind(segment, segment.size)
    while consumer.export_next([segment], 1):
        pass
    assert not consumer.is_behind(segment, segment.size)
