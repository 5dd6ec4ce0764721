"""One outlet's way through the journal: what is offered, when, and what a failure means for the next offer."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from amllog.delivery import account
from amllog.delivery.exporter import DELIVERED, MAX_BACKOFF_SECONDS, Consumer, ExportResult, refused, waiting
from amllog.journal.directory import claim
from amllog.journal.refused_counts import OVERWRITTEN, TRUNCATED
from amllog.journal.segment import Segment
from amllog.journal.writer import Journal

LINE = b'{"time":"2026-11-22T20:52:35.123456Z","ver":1,"name":"Microsoft.ApplicationInsights.Message"}\n'


class Stubborn:
    """An outlet that takes nothing, or fails."""

    name, max_records, max_bytes = "stubborn", 10, 10_000

    def __init__(self, answer: ExportResult | Exception) -> None:
        self.answer, self.offers = answer, []  # type: ignore[var-annotated]  # of batches

    def concerns(self, segment: Segment) -> bool:
        return True

    def wants(self, line: bytes) -> bool:
        return True

    counts = wants

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        self.offers.append(list(lines))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        """Nothing."""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Twenty-five lines."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n")
    for number in range(25):
        journal.append(b'{"time":"%d"}\n' % number)
    return journal


class Slow(Stubborn):
    """An outlet that takes at most so many lines within the time of an offer."""

    def __init__(self, most: int) -> None:
        super().__init__(ExportResult())
        self.most = most

    def export(self, lines: Sequence[bytes], seconds: float) -> ExportResult:
        self.offers.append(list(lines))
        if len(lines) <= self.most:
            return ExportResult()
        time.sleep(seconds)
        return ExportResult(waiting("timeout"))


@pytest.mark.parametrize("most", [1, 3])
def test_a_batch_that_takes_too_long_is_offered_in_parts(journal: Journal, most: int) -> None:
    """A service that needs longer for a batch than an offer may take gets smaller ones, and everything arrives."""
    outlet = Slow(most)
    consumer = Consumer(outlet)
    for _ in range(200):
        consumer.step(journal.segments, 0.05)
    assert [len(batch) for batch in outlet.offers][:3] == [10, 5, 2]
    taken = [line for batch in outlet.offers if len(batch) <= most for line in batch]
    assert taken == [b'{"time":"%d"}\n' % number for number in range(25)]


def test_batches(journal: Journal) -> None:
    """Lines are offered in order, in batches within the outlet's bounds, each once."""
    outlet = Stubborn(ExportResult())
    consumer = Consumer(outlet)
    while consumer.step(journal.segments, 1):
        pass
    assert [len(batch) for batch in outlet.offers] == [10, 10, 5]
    assert (
        b"".join(line for batch in outlet.offers for line in batch) == journal.segments[0].path.read_bytes()
    )
    outlet = Stubborn(ExportResult())
    outlet.max_bytes = 40
    consumer = Consumer(outlet)
    outlet.name = "another"
    while consumer.step(journal.segments, 1):
        pass
    assert max(sum(map(len, batch)) for batch in outlet.offers) <= 40
    assert sum(map(len, outlet.offers)) == 25


def test_backoff(journal: Journal) -> None:
    """Failures make the pauses longer, up to a minute; a far side that names a time is not asked before."""
    outlet = Stubborn(ExportResult(waiting("no")))
    consumer, pauses = Consumer(outlet), []
    for _ in range(12):
        consumer.due = 0.0
        assert not consumer.step(journal.segments, 1)
        pauses.append(consumer.due - time.monotonic())
    assert 0.5 < pauses[0] < 1.5 and pauses[3] > 5 and max(pauses) <= MAX_BACKOFF_SECONDS * 1.2
    assert not consumer.advance(journal.segments, 1) and len(outlet.offers) == 12  # not before its time
    assert consumer.trouble == "no"
    consumer.failures, consumer.due = 2_000, 0.0  # an outage of more than a day
    consumer.step(journal.segments, 1)
    assert 40 < consumer.due - time.monotonic() <= MAX_BACKOFF_SECONDS * 1.2
    outlet.answer = ExportResult(waiting("slow"), pause_seconds=500)
    consumer.due = 0.0
    consumer.step(journal.segments, 1)
    assert consumer.due - time.monotonic() > 490
    outlet.answer, consumer.due = ExportResult(), 0.0
    assert consumer.step(journal.segments, 1)
    assert (consumer.failures, consumer.due, consumer.trouble) == (0, 0.0, "")


def test_a_failing_outlet(journal: Journal) -> None:
    """An outlet that raises loses nothing: the lines wait, and status tells what it raised."""
    outlet = Stubborn(RuntimeError("broken"))
    consumer = Consumer(outlet)
    consumer.step(journal.segments, 1)
    assert consumer.trouble == "stubborn: RuntimeError: broken"
    assert consumer.behind(journal.segments[0], journal.segments[0].size)


@pytest.mark.parametrize("count", [25, 10])
def test_another_process_delivers_while_the_descriptor_is_closed(tmp_path: Path, count: int) -> None:
    """What another process has sent while nobody had the lock of the file is not sent again, and is counted once."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n")
    for _ in range(25):
        journal.append(LINE)
    (segment,) = journal.segments
    os.close(segment.fd)  # by the script: the lock is released
    other = claim(segment.path, "n")
    assert other is not None
    other.acknowledge("stubborn", count * len(LINE), count, Counter(), [])
    other.close()
    outlet = Stubborn(ExportResult())
    consumer = Consumer(outlet)
    while consumer.step(journal.segments, 1):
        pass
    assert sum(map(len, outlet.offers)) == 25 - count
    found = account.tally([segment], {"stubborn": outlet.wants}, Counter(), "")
    assert str(found.outlets["stubborn"]) == "25 delivered, 0 waiting, 0 refused"
    assert found.accepted == 25


def test_some_wait(journal: Journal) -> None:
    """What waits does not hold back what comes after it, and is offered again with it."""
    outlet = Stubborn(ExportResult(exceptions={3: waiting("no")}))
    consumer = Consumer(outlet)
    consumer.step(journal.segments, 1)
    consumer.due, outlet.answer = 0.0, ExportResult()
    consumer.step(journal.segments, 1)
    first, second = outlet.offers
    assert second[0] == first[3] and len(second) == 10
    assert journal.segments[0].position("stubborn").retry == []


def test_what_waits_is_offered_within_bounds(journal: Journal) -> None:
    """Lines that wait from before are offered in batches as well, in order and each once; none is forgotten."""
    (segment,) = journal.segments
    lines = segment.lines(0)
    again = [sum(map(len, lines[:number])) for number in range(25)]
    for bounds in ((10, 10_000), (100, 40)):
        outlet = Stubborn(ExportResult())
        outlet.name, outlet.max_records, outlet.max_bytes = f"of {bounds}", *bounds
        segment.acknowledge(outlet.name, segment.size, 0, Counter(), again)
        consumer = Consumer(outlet)
        while consumer.step(journal.segments, 1):
            pass
        assert [one for batch in outlet.offers for one in batch] == lines
        assert max(map(len, outlet.offers)) <= bounds[0]
        assert max(sum(map(len, batch)) for batch in outlet.offers) <= bounds[1]
        assert segment.is_settled([outlet.name]) and segment.position(outlet.name).delivered == 25


def test_what_waits_and_cannot_be_sent_now(journal: Journal) -> None:
    """Of lines that wait from before, those that are refused again and those without room wait on."""
    (segment,) = journal.segments
    lines = segment.lines(0)
    again = [sum(map(len, lines[:number])) for number in range(25)]
    segment.acknowledge("stubborn", segment.size, 0, Counter(), again)
    consumer = Consumer(Stubborn(ExportResult(exceptions={0: waiting("no"), 3: refused("bad")})))
    consumer.step(journal.segments, 1)
    assert segment.position("stubborn").retry == [again[0], *again[10:]]
    assert segment.position("stubborn").delivered == 8


def test_several_files_at_once(tmp_path: Path) -> None:
    """What many small files hold goes in one batch within the outlet's bounds; each file learns what became of its
    own lines."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n")
    for number in range(12):
        journal.append(b'{"time":"%02d"}\n' % number)
        if number % 3 == 2:
            journal.rotate()
    outlet = Stubborn(ExportResult(exceptions={4: waiting("no"), 7: refused("bad")}))
    consumer = Consumer(outlet)
    assert not consumer.step(journal.segments, 1)
    assert [len(batch) for batch in outlet.offers] == [10]
    progresses = [segment.position("stubborn") for segment in journal.segments]
    assert [one.delivered for one in progresses] == [3, 2, 2, 1, 0]
    assert [(len(one.retry), dict(one.refused)) for one in progresses] == [
        (0, {}), (1, {}), (0, {"bad": 1}), (0, {}), (0, {}),
    ]  # fmt: skip
    outlet.answer = ExportResult()
    assert consumer.step(journal.segments, 1)
    assert outlet.offers[1] == [outlet.offers[0][4], b'{"time":"10"}\n', b'{"time":"11"}\n']
    assert all(segment.is_settled(["stubborn"]) for segment in journal.segments)
    assert not consumer.step(journal.segments, 1) and len(outlet.offers) == 2


def test_what_waits_is_never_forgotten(tmp_path: Path) -> None:
    """Lines of many files that must be offered again are all offered again, a batch at a time."""
    journal = Journal(tmp_path / "j", max_bytes=1024**2, node="n")
    for number in range(40):
        journal.append(b'{"time":"%02d"}\n' % number)
        if number % 8 == 7:
            journal.rotate()
    outlet = Stubborn(ExportResult(DELIVERED, {index: waiting("no") for index in range(0, 10, 2)}))
    consumer = Consumer(outlet)
    for _ in range(30):
        consumer.step(journal.segments, 1)
    outlet.answer = ExportResult()
    while not all(segment.is_settled(["stubborn"]) for segment in journal.segments):
        assert consumer.step(journal.segments, 1)
    assert max(map(len, outlet.offers)) <= 10
    assert sum(segment.position("stubborn").delivered for segment in journal.segments) == 40


@pytest.mark.parametrize(("left", "reason"), [(25, OVERWRITTEN), (3, TRUNCATED)])
def test_what_waited_is_gone(journal: Journal, left: int, reason: str) -> None:
    """A line that waits and is no record any more is refused with the reason; the sum holds before and after."""
    outlet = Stubborn(ExportResult(DELIVERED, {index: waiting("no") for index in (0, 4, 9)}))
    consumer, (segment,) = Consumer(outlet), journal.segments
    size = segment.size
    consumer.step([segment], 1)
    with open(segment.path, "r+b") as file:
        file.seek(4 * 13)
        file.write(b"#" * 13)
        file.seek(9 * 13)
        file.write(b"#" * 13)
        file.truncate(size if left == 25 else left * 13)
    outlet.answer = ExportResult()
    for _ in range(2):
        found = account.tally([segment], {"stubborn": outlet.wants}, Counter(), "")
        assert found.accepted == 25 == found.outlets["stubborn"].accepted
        consumer.due = 0.0
        while consumer.step([segment], 1):
            pass
    one = found.outlets["stubborn"]
    gone = 25 - 7 - 1 - max(0, left - 10)
    assert (one.delivered, one.waiting, one.refused) == (25 - gone, 0, {reason: gone})
    assert not consumer.behind(segment, 10_000)


def test_a_torn_line_is_not_waited_for(journal: Journal) -> None:
    """Nothing is behind once every whole line is settled."""
    outlet = Stubborn(ExportResult())
    consumer, (segment,) = Consumer(outlet), journal.segments
    os.truncate(segment.path, segment.size - 4)
    assert consumer.behind(segment, segment.size)
    while consumer.step([segment], 1):
        pass
    assert not consumer.behind(segment, segment.size)
